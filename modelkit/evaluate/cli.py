"""The commands below `triptych model` that evaluate."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modelkit.train.cli import DATASETS, Datasets, told

Repository = Annotated[Path, typer.Option(help="Folder of the model repository.")]
REPOSITORY = Path("triton_models")


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to `triptych model`."""
    app.command("evaluate")(evaluate_model)
    app.command("card")(write_model_card)


def evaluate_model(
    subject: Annotated[str, typer.Argument(help="Folder of a run, MODEL or MODEL:VERSION.", show_default=False)],
    beside: Annotated[
        list[str] | None, typer.Option("--with", help="Another one to compare with; may be repeated.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Not beside the runs that it was made of.")] = False,
    pictures: Annotated[int, typer.Option(min=0, help="Test pictures that are corrupted; 0 for all.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the corruptions.")] = 0,
    dataset: Annotated[str, typer.Option(help="NAME or NAME:VERSION; by default what it was made with.")] = "",
    repository: Repository = REPOSITORY,
    datasets: Datasets = DATASETS,
    evaluations: Annotated[Path, typer.Option(help="Folder for what published versions get.")] = Path(
        ".triptych/evaluations"
    ),
) -> None:
    """Measures a model through serving: accuracy, calibration, cost, robustness; writes evaluation.json and card.md.

    A run is measured beside those that it was pruned, quantised or distilled from.

    \b
    triptych model evaluate .triptych/runs/fashion_mnist_distil-int8
    triptych model evaluate .triptych/runs/small --with .triptych/runs/large --pictures 0
    triptych model evaluate fashion_mnist:2
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with told():
        from modelkit.data.progress import shown
        from modelkit.evaluate.evaluate import Options, evaluate
        from modelkit.evaluate.subject import Shelf

        options = Options(pictures or None, seed, tuple(beside or ()), not alone, dataset)
        folder, content = evaluate(subject, Shelf(repository, datasets, evaluations), options, shown)
        _show(folder, content)


def write_model_card(
    folder: Annotated[Path, typer.Argument(help="Folder with evaluation.json.", show_default=False)],
) -> None:
    """Writes the card and its plots again, of what was measured.

    \b
    triptych model card .triptych/runs/fashion_mnist_distil
    """  # noqa: D301
    with told():
        from modelkit.evaluate.card import write_card

        typer.echo(write_card(folder))


def _show(folder: Path, content: dict[str, object]) -> None:
    from modelkit.evaluate.card import CARD_FILE
    from modelkit.evaluate.tables import confused_table, robustness_table, summary_table, variations_table

    console = Console()
    for each in (summary_table, robustness_table, variations_table, confused_table):
        console.print(each(content), "")
    typer.echo(f"temperature {content['temperature']}; {folder / CARD_FILE}")
