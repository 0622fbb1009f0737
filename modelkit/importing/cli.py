"""The command `triptych model import`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from modelkit.catalog import IMPORTS, Importable, ModelkitMissingError
from modelkit.signing.cli import SigningKey, TrustedKeysFile, signer_or_fail
from modelkit.train.cli import DATASETS, RUNS, Datasets, Runs, told

if TYPE_CHECKING:
    from modelkit.importing.preparation import Channels
    from modelkit.signing.signer import Signer

Repository = Annotated[Path, typer.Option(help="Folder of the model repository; for efficientnet_lite0.")]
Colours = Annotated[str, typer.Option(help="Three numbers for the pixels, 0 to 255, with commas: 123.7,116.3,103.5.")]


def add_commands(app: typer.Typer) -> None:
    """Adds the command to `triptych model`."""
    app.command("import")(import_model)


def import_model(  # noqa: PLR0913, PLR0917 -- Typer's options are arguments
    source: Annotated[
        str,
        typer.Argument(
            help="efficientnet_lite0; a folder or ORG/NAME[@REVISION] of transformers; timm:NAME[@REVISION]; "
            "a file .onnx, .safetensors, .pt.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="Of the run that is made; not for efficientnet_lite0.")] = "",
    dataset: Annotated[str, typer.Option(help="Data set that judges it, NAME or NAME:VERSION.")] = "",
    labels: Annotated[Path | None, typer.Option(help="File with the classes' names, one a line, in order.")] = None,
    network: Annotated[Path | None, typer.Option(help="Recipe whose network and input plain weights are of.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Width and height of what the network takes.")] = None,
    crop: Annotated[float | None, typer.Option(help="Share of the picture's sides that is kept.")] = None,
    interpolation: Annotated[
        Literal["bicubic", "bilinear", "lanczos"] | None, typer.Option(help="Filter that pictures are resized with.")
    ] = None,
    mean: Colours = "",
    std: Colours = "",
    repository: Repository = Path("triton_models"),
    version: Annotated[str, typer.Option(help="Version to publish: a positive integer; for efficientnet_lite0.")] = "1",
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Imports a model: efficientnet_lite0 into the repository, any other as a run, to be exported and published.

    \b
    triptych model import efficientnet_lite0
    triptych model import ./my-vit --name my_vit --dataset pets
    triptych model import net.onnx --name net --dataset pets --mean 127.5,127.5,127.5 --std 127.5,127.5,127.5
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    if source in set(Importable):
        _publish(Importable(source), repository, version, signer_or_fail(signing_key, trusted_keys))
        return
    with told():
        from modelkit.importing.preparation import Wishes  # noqa: PLC0415 -- torch
        from modelkit.importing.runs import Importing, import_run  # noqa: PLC0415
        from modelkit.train.recipe import RecipeError, parse  # noqa: PLC0415
        from modelkit.train.train import Places  # noqa: PLC0415

        if not name or not dataset:
            raise RecipeError("importing a model needs --name for its run and --dataset to judge it")
        data, _, data_version = dataset.partition(":")
        content = {
            "name": name,
            "source": source,
            "dataset": {"name": data, "version": data_version or "latest"},
            "labels": labels and _names(labels),
            "network": network,
            "wishes": Wishes(size, crop, interpolation, _colours("mean", mean), _colours("std", std)),
        }
        done = import_run(parse(Importing, content, "import"), Places(datasets, runs))
        for note in done.notes:
            typer.echo(f"note: {note}", err=True)
        typer.echo(f"{done.folder}  {(done.folder / 'result.json').read_text(encoding='utf-8').strip()}")


def _publish(which: Importable, repository: Path, version: str, signer: "Signer | None") -> None:
    try:
        manifest = IMPORTS[which](repository, version, signer)
    except (ModelkitMissingError, ValueError) as error:  # PublishError, GateError, ParityError, ManifestError
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    artifact = manifest.versions[version].artifacts["cpu"]
    typer.echo(f"{repository / manifest.name / artifact.file}  sha256 {artifact.sha256}")


def _names(file: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--labels {file} cannot be read: {error}") from error


def _colours(what: str, text: str) -> "Channels | None":
    if not text:
        return None
    try:
        red, green, blue = (float(word) for word in text.split(","))
    except ValueError as error:
        raise ValueError(f"--{what} {text!r} is not three numbers with commas") from error
    return red, green, blue
