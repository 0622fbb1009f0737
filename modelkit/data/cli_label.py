"""The command `triptych model data label`: a page to label on, and label files in."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelkit.data.cli import ROOT, Name, Root, Version, note, tell, telling_errors
from modelkit.data.records import DataError, Split

if TYPE_CHECKING:
    from modelkit.data.labelling.queue import Waiting
    from modelkit.data.store import Dataset


def add_label(app: typer.Typer) -> None:
    """Adds the command to `triptych model data`."""
    app.command("label")(label_data)


def label_data(
    name: Name,
    version: Version = "latest",
    by: Annotated[
        str, typer.Option(help="Model that is unsure: folder of an exported run, or NAME[:VERSION] of a published one.")
    ] = "",
    suspects: Annotated[bool, typer.Option(help="Ask about what `data clean` suspects of a wrong label, too.")] = True,
    split: Annotated[Split, typer.Option(help="Of the images to ask about.")] = Split.TRAIN,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most images to ask about.")] = 1000,
    who: Annotated[str, typer.Option(help="Whose answers these are; by default your user's name.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="Label file (.csv) that answers go to; by default beside the versions.")
    ] = None,
    apply: Annotated[
        list[Path] | None, typer.Option(help="Label file (.csv) to make a version of, without a page; may be repeated.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 0,
    repository: Annotated[Path, typer.Option(help="Folder of the published models.")] = Path("triton_models"),
    root: Root = ROOT,
) -> None:
    """Asks a person about doubtful images, on a page of this machine; the answers make a new version.

    \b
    triptych model data label fmnist --by .triptych/runs/student_1
    triptych model data label fmnist --apply labels.csv
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with telling_errors():
        from modelkit.data.store import open_dataset

        dataset = open_dataset(root, name, version)
        if apply:
            _apply(dataset, apply)
            return
        if not dataset.labels:
            raise DataError(f"{name} has no names of labels: `data import --labels FILE` gives it some")
        queue = _queue(dataset, split, by if by else None, repository, limit, suspects=suspects)
        if not queue:
            raise DataError(f"{name} has no image in {split} to ask about: name a model with --by, or another --split")
        path = file or dataset.folder.parent / f"labels-{dataset.manifest.version}.csv"
        if _ask(dataset, queue, path, who or getpass.getuser(), port):
            _apply(dataset, [path])


def _queue(
    dataset: "Dataset", split: Split, by: str | None, repository: Path, limit: int, *, suspects: bool
) -> "list[Waiting]":
    from modelkit.data.cache import beside
    from modelkit.data.labelling.predictions import find_model, guess
    from modelkit.data.labelling.queue import find_suspects, make_queue
    from modelkit.data.progress import shown

    try:
        guesses = guess(dataset, split, find_model(by, repository), shown) if by else None
    except DataError:
        raise
    except ValueError as error:  # PublishError, ManifestError, GateError
        raise DataError(str(error)) from error
    doubted = find_suspects(dataset, track=shown, cache=beside(dataset, note)) if suspects else {}
    rows = (row for row in dataset.rows() if row.split is split)
    return make_queue(rows, dataset.labels, guesses, doubted, limit)


def _ask(dataset: "Dataset", queue: "list[Waiting]", path: Path, who: str, port: int) -> bool:
    """Serves the page; says whether the person finished, rather than stopped."""
    from modelkit.data.labelling.journal import Journal
    from modelkit.data.labelling.server import LabelServer
    from modelkit.data.labelling.session import Session
    from modelkit.data.labelling.spool import Spool

    title = f"{dataset.manifest.name} {dataset.manifest.version}"
    with Journal(path, who) as journal, Spool(dataset.records(), {each.row.id for each in queue}) as spool:
        server = LabelServer(Session(title, dataset.labels, queue, journal), spool, port)
        typer.echo(f"{len(queue):,} images to look at: {server.url}\nanswers go to {path}; Ctrl-C stops, they stay")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            typer.echo(f"stopped; to make a version: triptych model data label {dataset.manifest.name} --apply {path}")
        finally:
            server.server_close()
        return server.finished


def _apply(dataset: "Dataset", files: list[Path]) -> None:
    from modelkit.data.labelling.answers import decided, disputed, read_answers
    from modelkit.data.labelling.applying import apply_labels
    from modelkit.data.progress import shown

    answers = [answer for file in files for answer in read_answers(file)]
    done = apply_labels(dataset, decided(answers), shown)
    typer.echo(
        f"{done.changed:,} labels changed; {len(disputed(answers)):,} images on which people differ, the last one "
        f"counts; {done.unknown:,} images are not in this version"
    )
    tell(done.dataset.folder, done.dataset.count())
