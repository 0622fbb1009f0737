"""The commands below `triptych model`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from modelkit.catalog import ModelkitMissingError
from modelkit.compress.cli import add_commands as add_compression
from modelkit.compress.cli import names_run, quantise_folder
from modelkit.data.cli import app as data_app
from modelkit.data.cli_label import add_label
from modelkit.evaluate.cli import add_commands as add_evaluation
from modelkit.gate import GateError
from modelkit.importing.cli import add_commands as add_importing
from modelkit.publish import PublishError, set_default
from modelkit.release.cli import add_commands as add_release
from modelkit.signing.cli import SigningKey, TrustedKeysFile, signer_or_fail
from modelkit.signing.cli import add_commands as add_signing
from modelkit.tensorrt.cli import add_commands as add_engines
from modelkit.train.cli import DATASETS, Changes, Datasets
from modelkit.train.cli import add_commands as add_training
from modelkit.variants import NoPhotographsError
from servicekit.manifest import Manifest, ManifestError

if TYPE_CHECKING:
    from modelkit.signing.signer import Signer

Repository = Annotated[Path, typer.Option(help="Folder of the model repository.")]
REPOSITORY = Path("triton_models")
CALIBRATION, PHOTOGRAPHS = Path("modelkit/calibration"), Path("tests/photographs")

app = typer.Typer(help="Train, publish and keep models in a Triton model repository.", no_args_is_help=True)
add_label(data_app)
app.add_typer(data_app, name="data")


@app.callback()
def model() -> None:
    """Trains, publishes and keeps models in a Triton model repository."""


add_importing(app)
add_training(app)
add_compression(app)
add_evaluation(app)
add_release(app)
add_engines(app)
add_signing(app)


@app.command("quantise")
def quantise_model(  # noqa: PLR0913, PLR0917 -- the options of two kinds of models
    name: Annotated[str, typer.Argument(help="The published model, the folder of a finished run, or a recipe.")],
    version: Annotated[str, typer.Option(help="Version to publish: a positive integer. Not with a run.")] = "",
    parent: Annotated[str | None, typer.Option("--from", help="Version to quantise: 1.")] = None,
    repository: Repository = REPOSITORY,
    calibration: Annotated[
        Path | None, typer.Option(help=f"Folder with the photographs that set ranges and fit weights: {CALIBRATION}.")
    ] = None,
    photographs: Annotated[
        Path | None, typer.Option(help=f"Folder with those on which it must answer as the old one: {PHOTOGRAPHS}.")
    ] = None,
    max_slowdown: Annotated[
        float | None, typer.Option(help="Most times the old version's time for a picture: 1.")
    ] = None,
    float_convolutions: Annotated[
        int | None,
        typer.Option(min=0, help="Convolutions, from the input on, that stay in floating point: 6, for a run 0."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Of a run's calibration: minmax (the default) or percentile.")
    ] = None,
    calibration_pictures: Annotated[
        int | None, typer.Option(help="Training pictures that set the ranges of a run's activations: 512.")
    ] = None,
    as_name: Annotated[
        str | None, typer.Option("--name", help="Of the new run; by default the old one's and -int8.")
    ] = None,
    changes: Changes = None,
    datasets: Datasets = DATASETS,
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Makes an INT8 version of a published model, or an INT8 run of a finished run.

    A published model's answers are compared with the original's by a gate; what answers requests that name no version
    stays as it is. A run is calibrated with pictures of its data set, and its accuracy before and after is told.

    \b
    triptych model quantise efficientnet_lite0 --version 2
    triptych model quantise .triptych/runs/fashion_mnist_distil --calibration-pictures 1024
    triptych model quantise modelkit/recipes/fashion_mnist_small.yaml --set method=percentile
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    of_runs = {"name": as_name, "method": method, "calibration": calibration_pictures}
    of_models = {
        "parent": parent,
        "calibration": calibration,
        "photographs": photographs,
        "max_slowdown": max_slowdown,
    }
    if names_run(name):
        if version or _any_given(of_models):
            options = "--version, --from, --calibration, --photographs and --max-slowdown"
            raise _failed(PublishError(f"{options} are of published models, which {name} is not"))
        quantise_folder(Path(name), {**of_runs, "float_convolutions": float_convolutions}, changes, datasets)
        return
    if changes or _any_given(of_runs):
        options = "--name, --method, --calibration-pictures and --set"
        raise _failed(PublishError(f"{options} are of runs, which {name} is not"))
    if "/" in name:
        raise _failed(PublishError(f"{name} is no folder of a finished run"))
    if not version:
        raise _failed(PublishError(f"{name} is no folder of a finished run, and a published model needs --version"))
    given = {**of_models, "version": version, "float_convolutions": float_convolutions}
    _quantise_published(repository, name, given, signer_or_fail(signing_key, trusted_keys))


def _any_given(options: Mapping[str, object]) -> bool:
    return any(value is not None for value in options.values())


def _quantise_published(repository: Path, name: str, given: Mapping[str, Any], signer: "Signer | None") -> None:
    """Publishes an INT8 version and tells what its gates measured; what is None in `given` is the plan's own."""
    try:
        from modelkit.export_run import ParityError  # noqa: PLC0415 -- serving has not the packages they need
        from modelkit.release.quantising import Plan, publish_quantised  # noqa: PLC0415
        from modelkit.release.tables import checks_table  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _failed(ModelkitMissingError(error.name or "onnxruntime")) from error
    usual = {"parent": "1", "calibration": CALIBRATION, "photographs": PHOTOGRAPHS, "float_convolutions": 6}
    said = {key: value for key, value in given.items() if value is not None}
    try:
        done = publish_quantised(repository, name, Plan(**{**usual, **said}), signer)
    except (GateError, ParityError, NoPhotographsError, PublishError, ManifestError) as error:
        raise _failed(error) from error
    Console().print(checks_table(done.checks))
    typer.echo(done.tensorrt.sentence())
    _tell(repository, done.manifest, done.version)
    for figure, value in done.manifest.versions[done.version].accuracy.items():
        typer.echo(f"  {figure}: {value}")


@app.command("default")
def default_version(
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="The published version that shall answer when none is named.")],
    repository: Repository = REPOSITORY,
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Says which version answers requests that name none; a running cluster obeys within a second."""
    signer = signer_or_fail(signing_key, trusted_keys)
    try:
        set_default(repository, name, version, signer)
    except (PublishError, ManifestError) as error:
        raise _failed(error) from error
    typer.echo(f"{name}: version {version} answers requests that name none")


def _failed(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)


def _tell(repository: Path, manifest: Manifest, version: str) -> None:
    artifact = manifest.versions[version].artifacts["cpu"]
    typer.echo(f"{repository / manifest.name / artifact.file}  sha256 {artifact.sha256}")
