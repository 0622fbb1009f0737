"""The commands below `triptych model` that publish trained runs and keep the repository."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modelkit.catalog import ModelkitMissingError
from modelkit.publish import live_version
from modelkit.signing.cli import SigningKey, TrustedKeysFile, signer_or_fail

Repository = Annotated[Path, typer.Option(help="Folder of the model repository.")]
REPOSITORY = Path("triton_models")
Name = Annotated[str, typer.Argument(help="The model.", show_default=False)]


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to `triptych model`."""
    app.command("publish")(publish_model)
    app.command("list")(list_models)
    app.command("lineage")(lineage)
    app.command("diff")(diff)
    app.command("verify")(verify)
    app.command("rollback")(roll_back)
    app.command("gc")(collect_garbage)


def publish_model(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or an ONNX file in one.", show_default=False)],
    name: Annotated[str, typer.Option(help="Name of the model.", show_default=False)],
    version: Annotated[str, typer.Option(help="A positive integer; by default the next one.")] = "",
    parent: Annotated[Path | None, typer.Option(help="Run to agree with; by default the live version.")] = None,
    title: Annotated[str, typer.Option(help="For people; the first version's counts.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Of the weights; by default the data set's.")] = "",
    min_top1: Annotated[float, typer.Option(help="Least share of the test split that must be right.")] = 0.5,
    max_drop: Annotated[float, typer.Option(help="Most that top-1 may be below the live version's.")] = 0.005,
    max_parent_drop: Annotated[float, typer.Option(help="Most that top-1 may be below the --parent's.")] = 0.01,
    max_parity_gap: Annotated[float, typer.Option(help="Most between top-1 in training and through serving.")] = 0.005,
    min_agreement: Annotated[float, typer.Option(help="Least share of answers that must be the parent's.")] = 0.8,
    max_robustness_drop: Annotated[float, typer.Option(help="Most that top-1 on corrupted pictures may drop.")] = 0.05,
    max_slowdown: Annotated[float, typer.Option(help="Most times the time of the live version, or the parent.")] = 1.5,
    max_latency_ms: Annotated[float | None, typer.Option(help="For one picture on one thread.")] = None,
    keep_live: Annotated[bool, typer.Option("--keep-live", help="Leave live what is: an experiment decides.")] = False,
    repository: Repository = REPOSITORY,
    datasets: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path(".triptych/datasets"),
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Publishes a trained run as a version of a model, if it passes every gate; a running cluster takes it over.

    \b
    triptych model export .triptych/runs/student_1
    triptych model publish .triptych/runs/student_1 --name fashion_mnist
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with _told():
        from modelkit.release.gates import COMPARED, Limits
        from modelkit.release.publishing import Plan, publish_run
        from modelkit.release.tables import checks_table

        limits = Limits(
            min_top1=min_top1,
            max_drop=max_drop,
            max_parent_drop=max_parent_drop,
            max_parity_gap=max_parity_gap,
            min_agreement=min_agreement,
            max_robustness_drop=max_robustness_drop,
            max_slowdown=max_slowdown,
            max_latency_ms=max_latency_ms,
        )
        plan = Plan(source, name, version, parent, title, license_, limits, keep_live)
        done = publish_run(repository, datasets, plan, signer_or_fail(signing_key, trusted_keys))
        Console().print(checks_table(done.checks))
        typer.echo(done.tensorrt.sentence())
        published = done.manifest.versions[done.version]
        typer.echo(f"robustness: compared with {published.accuracy[COMPARED]}")
        artifact = published.artifacts["cpu"]
        typer.echo(f"{repository / name / artifact.file}  sha256 {artifact.sha256}")
        live = live_version(done.manifest)
        if live != done.version:
            change = f"`triptych model default {name} {done.version}`, or an experiment (docs/experiments.md),"
            typer.echo(f"version {live} stays live: {change} changes that")


def list_models(repository: Repository = REPOSITORY) -> None:
    """Lists the versions of all models; a star marks the live one, which answers who names none."""
    with _told():
        from modelkit.release.tables import list_table
        from modelkit.release.versions import list_versions

        Console().print(list_table(list_versions(repository)))


def lineage(
    name: Name,
    version: Annotated[str, typer.Option(help="By default the live one.")] = "",
    repository: Repository = REPOSITORY,
) -> None:
    """Shows what a version was made of: run, data set, weights, teacher, and theirs in turn."""
    with _told():
        from modelkit.release.tables import lineage_tree
        from modelkit.release.versions import find_version

        manifest, chosen = find_version(repository, name, version)
        folder = repository / name
        Console().print(lineage_tree(folder, f"{name} version {chosen}", chosen, manifest.versions[chosen]))


def diff(
    one: Annotated[str, typer.Argument(help="MODEL or MODEL:VERSION; without a version the live one.")],
    other: Annotated[str, typer.Argument(help="As the first.")],
    repository: Repository = REPOSITORY,
) -> None:
    """Shows in what two versions, of one model or of two, differ."""
    with _told():
        from modelkit.release.tables import differences_table
        from modelkit.release.versions import differences

        sides = [(name, version) for name, _, version in (each.partition(":") for each in (one, other))]
        Console().print(differences_table(one, other, differences(repository, sides[0], sides[1])))


def verify(
    name: Name,
    version: Annotated[str, typer.Option(help="By default the live one.")] = "",
    trusted_keys: TrustedKeysFile = None,
    repository: Repository = REPOSITORY,
) -> None:
    """Looks whether a version's files are as they were published, and asks its golden predictions on this machine.

    With trusted keys, one of them must have signed the manifest, which names the files.
    """
    with _told():
        from modelkit.release.versions import check_version, find_version
        from servicekit.signatures import checking

        manifest, chosen = find_version(repository, name, version, checking(trusted_keys))
        if trusted_keys is not None and manifest.signature is not None:
            typer.echo(f"{name}: signed by the trusted key {manifest.signature.key_id}")
        golden = check_version(repository / name, manifest, chosen)
        typer.echo(f"{name} version {chosen}: the files are as published, {golden} golden predictions are the same")


def roll_back(
    name: Name,
    to: Annotated[str, typer.Option(help="Version; by default the one before the live one.")] = "",
    repository: Repository = REPOSITORY,
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Makes an older version live, once its files and its golden predictions are found as they were published."""
    with _told():
        from modelkit.release.versions import rollback

        before, now = rollback(repository, name, to, signer_or_fail(signing_key, trusted_keys))
        typer.echo(f"{name}: version {now} is live, {before} was")


def collect_garbage(
    name: Name,
    keep: Annotated[int, typer.Option(min=1, help="Newest versions to keep, beside the live one.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only says what would go.")] = False,
    repository: Repository = REPOSITORY,
    signing_key: SigningKey = None,
    trusted_keys: TrustedKeysFile = None,
) -> None:
    """Removes old versions of a model, never the live one."""
    with _told():
        from modelkit.release.retention import collect

        signer = signer_or_fail(signing_key, trusted_keys)
        removed = collect(repository, name, keep=keep, dry_run=dry_run, signer=signer)
        does = "would remove" if dry_run else "removed"
        typer.echo(f"{name}: {does} versions {_words(removed.versions)}; leftovers {_words(removed.leftovers)}")


def _words(numbers: list[str]) -> str:
    return ", ".join(numbers) or "none"


@contextmanager
def _told() -> Iterator[None]:
    """Turns errors that a person can do something about into one line and exit status 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f"error: {ModelkitMissingError(error.name or 'onnx')}", err=True)
        raise typer.Exit(1) from error
    except ValueError as error:  # GateError, DataError, ManifestError, PublishError
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
