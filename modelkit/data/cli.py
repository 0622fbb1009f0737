"""The commands below `triptych model data`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from modelkit.data.records import DataError, Split

ROOT = Path(".triptych/datasets")

Root = Annotated[Path, typer.Option(help="Folder of all data sets.")]
Name = Annotated[str, typer.Argument(help="The data set.", show_default=False)]
Version = Annotated[str, typer.Option(help="Version, or its first digits.")]

app = typer.Typer(help="Import, clean, label and split data sets; each step makes a new version.", no_args_is_help=True)


@contextmanager
def telling_errors() -> Iterator[None]:
    """Ends the command with a sentence where the data, or what was asked of it, is at fault."""
    try:
        yield
    except DataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        typer.echo(f"error: this command needs the package {error.name}: pip install 'triptych[data]'", err=True)
        raise typer.Exit(1) from error


@app.command("import")
def import_data(
    path: Annotated[Path, typer.Argument(help="File or folder to import.", show_default=False)],
    name: Annotated[str, typer.Option(help="Name of the data set.", show_default=False)],
    form: Annotated[
        str | None,
        typer.Option("--format", help="folders, idx, parquet, webdataset, csv or feedback; found out by default."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="File with the names of the labels, one a line, in order; by default the source's."),
    ] = None,
    license_: Annotated[
        str, typer.Option("--license", help="Licence of the images, kept in the manifest.")
    ] = "unknown",
    root: Root = ROOT,
) -> None:
    """Imports images with their labels; started again after it was killed, it goes on."""
    with telling_errors():
        from modelkit.data.importing import Import, import_dataset
        from modelkit.data.progress import shown
        from modelkit.data.sources import SourceFormat

        if form is not None and form not in set(SourceFormat):
            raise DataError(f"--format {form!r} is none of {', '.join(SourceFormat)}")
        plan = Import(name, path, SourceFormat(form) if form else None, labels, license_)
        dataset = import_dataset(root, plan, shown)
        refused = dataset.manifest.refused
        for example in refused.examples[:5]:
            typer.echo(f"refused: {example}", err=True)
        if refused.count > 5:
            typer.echo(f"refused: {refused.count - 5} more; {dataset.folder / 'manifest.json'} counts them", err=True)
        tell(dataset.folder, dataset.count())


@app.command("list")
def list_data(root: Root = ROOT) -> None:
    """Lists data sets and their versions."""
    with telling_errors():
        from rich.console import Console

        from modelkit.data.show import listing

        Console().print(listing(root))


@app.command("show")
def show_data(
    name: Name,
    version: Version = "latest",
    sheet: Annotated[
        Path | None, typer.Option(help="Write a contact sheet here: the first images of each label (.png).")
    ] = None,
    split: Annotated[Split | None, typer.Option(help="Take the contact sheet's images from this split.")] = None,
    root: Root = ROOT,
) -> None:
    """Shows where a version came from and how many images each label has."""
    with telling_errors():
        from rich.console import Console

        from modelkit.data.show import balance, contact_sheet, facts
        from modelkit.data.store import open_dataset

        dataset = open_dataset(root, name, version)
        console = Console()
        console.print(facts(dataset))
        console.print()
        console.print(balance(dataset))
        if sheet:
            contact_sheet(dataset, split).save(sheet, "PNG")
            typer.echo(f"{sheet}: a row for each label")


@app.command("clean")
def clean_data(
    name: Name,
    version: Version = "latest",
    drop: Annotated[
        str, typer.Option(help="Kinds of findings to drop, with commas; by default nothing is, there is just a report.")
    ] = "",
    near: Annotated[
        float, typer.Option(min=0, max=1, help="Correlation from which pictures are nearly equal; 0 compares none.")
    ] = 0.997,
    probabilities: Annotated[
        Path | None,
        typer.Option(help="Out-of-sample probabilities of a model (.npz); by default a cheap one is trained."),
    ] = None,
    label_errors: Annotated[bool, typer.Option(help="Look for probable label errors.")] = True,
    seed: Annotated[int, typer.Option(help="Of the cheap model's folds.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Where to write the report (.html).")] = None,
    root: Root = ROOT,
) -> None:
    """Finds unreadable, equal, nearly equal, leaking, odd and wrongly labelled images; reports with pictures.

    Started again, also after it was killed, it does not repeat what it had found out.
    """
    with telling_errors():
        from modelkit.data import cleaning
        from modelkit.data.cache import beside
        from modelkit.data.findings import Kind
        from modelkit.data.progress import shown
        from modelkit.data.store import open_dataset

        words = {word.strip() for word in drop.split(",") if word.strip()}
        if words - set(Kind):
            raise DataError(f"--drop {', '.join(sorted(words - set(Kind)))}: there are {', '.join(Kind)}")
        dataset = open_dataset(root, name, version)
        look = cleaning.Look(near or None, label_errors, probabilities, seed)
        found = cleaning.inspect(dataset, look, shown, beside(dataset, note))
        for kind in Kind:
            typer.echo(f"{kind:<16}{sum(each.kind is kind for each in found.findings):>8,}")
        if found.doubt():
            typer.echo(found.doubt())
        path = report or dataset.folder.parent / f"clean-{dataset.manifest.version}.html"
        cleaning.write_report(path, dataset, found)
        typer.echo(f"report: {path}")
        if words:
            cleaned = cleaning.drop(dataset, look, found.findings, {Kind(word) for word in words}, shown)
            tell(cleaned.folder, cleaned.count())


@app.command("split")
def split_data(
    name: Name,
    val: Annotated[float, typer.Option(min=0, help="For validation: a fraction below 1, or a count.")],
    test: Annotated[float, typer.Option(min=0, help="For testing; 0 keeps the test images there are.")] = 0,
    seed: Annotated[int, typer.Option(help="Another seed, another choice.")] = 0,
    near: Annotated[
        float, typer.Option(min=0, max=1, help="Correlation from which pictures stay together; 0 compares none.")
    ] = 0.997,
    version: Version = "latest",
    root: Root = ROOT,
) -> None:
    """Puts images into splits: alike in each label, nearly equal ones together, and stable when images are added."""
    with telling_errors():
        from modelkit.data.cache import beside
        from modelkit.data.progress import shown
        from modelkit.data.splitting import Shares, split
        from modelkit.data.store import open_dataset

        parent = open_dataset(root, name, version)
        dataset = split(parent, Shares(val, test, seed, near or None), shown, beside(parent, note))
        tell(dataset.folder, dataset.count())
        typer.echo(", ".join(f"{each} {dataset.count(each):,}" for each in Split))


def tell(folder: Path, count: int) -> None:
    """Says where a new version is."""
    typer.echo(f"{folder.parent.name} {folder.name}: {count:,} images in {folder}")


def note(text: str) -> None:
    """Tells what is not as it should be, and does not stop the command."""
    typer.echo(f"note: {text}", err=True)
