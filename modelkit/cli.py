"""The commands below `triptych model`."""

from pathlib import Path
from typing import Annotated

import typer

from modelkit.catalog import IMPORTS, Importable, ModelkitMissingError
from modelkit.publish import PublishError
from servicekit.manifest import ManifestError

app = typer.Typer(help="Import models into a Triton model repository.", no_args_is_help=True)


@app.callback()
def model() -> None:
    """Imports models into a Triton model repository."""  # with a callback, Typer keeps `import` a command of its own


@app.command("import")
def import_model(
    name: Annotated[Importable, typer.Argument(help="The model to import.")],
    repository: Annotated[Path, typer.Option(help="Folder of the model repository.")] = Path("triton_models"),
    version: Annotated[str, typer.Option(help="Version to publish: a positive integer.")] = "1",
) -> None:
    """Imports a published model: exports its weights to ONNX and publishes them with labels and manifest."""
    try:
        manifest = IMPORTS[name](repository, version)
    except (ModelkitMissingError, PublishError, ManifestError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    artifact = manifest.versions[version].artifacts["cpu"]
    typer.echo(f"{repository / manifest.name / artifact.file}  sha256 {artifact.sha256}")
