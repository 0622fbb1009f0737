"""`triptych experiment`: compares versions of a model while they answer requests."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from triptych.cli import words
from triptych.cli.connection import Connection, connected
from triptych.cli.experiment_options import Actor, Name, Reason, actor_name
from triptych.cli.options import Json
from triptych.cli.output import err, fail, out, print_json

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model.", show_default=False)]


@connected
def list_(
    connection: Connection,
    model: Annotated[str, typer.Option(metavar="NAME", help="Only those of this model.")] = "",
    running: Annotated[bool, typer.Option("--running", help="Only those that run.")] = False,
    json: Json = False,
) -> None:
    """Lists experiments, the newest first."""
    from triptych.cli.experiment_calls import Experiments
    from triptych.cli.experiment_view import as_json, table_of

    with connection.line() as line:
        found = list(Experiments(line, connection.timeout_s).all(model, running=running))
    if json:
        print_json([as_json(each) for each in found])
    elif found:
        out().print(table_of(found))
    else:
        which = " that runs" if running else ""
        err().print(f"There is no experiment{which}{f' of {model}' if model else ''} yet.", markup=False)


@connected
def show(connection: Connection, name: Name, json: Json = False) -> None:
    """Shows an experiment: its arms, what the facts say, and what was done."""
    from triptych.cli.experiment_calls import Experiments
    from triptych.cli.experiment_view import as_json, view
    from triptych.cli.experiment_watch import look

    with connection.line() as line:
        found = look(Experiments(line, connection.timeout_s), name)
    if json:
        verdicts, decisions = ([as_json(each) for each in some] for some in (found.verdicts, found.decisions))
        print_json({"experiment": as_json(found.experiment), "verdicts": verdicts, "decisions": decisions})
    else:
        out().print(view(found, datetime.now(UTC)))


@connected
def start(connection: Connection, name: Name, reason: Reason = "", actor: Actor = None) -> None:
    """Starts a draft: requests take part from now on."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        Experiments(line, connection.timeout_s, actor_name(actor)).start(name, reason)
    out().print(f"{name} runs. Watch it: triptych experiment watch {name}", markup=False)


@connected
def weights(
    connection: Connection,
    name: Name,
    weights: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARM=WEIGHT...]", help="Arms and their weights; the others keep theirs.", show_default=False
        ),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin evidence anew also with the same weights, once a fault is mended.")
    ] = False,
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Changes how requests are split among the arms. Evidence begins anew, and a ramp ends.

    With --anew alone the split and the ramp stay as they are.
    """
    from triptych.cli.experiment_calls import Experiments
    from triptych.cli.experiment_words import split_of

    if not weights and not anew:
        fail("Say which arm gets which weight, such as b=10; or --anew, to begin evidence anew as it is.", code=2)
    try:
        given = dict(map(words.weight, weights or ()))
    except ValueError as error:
        fail(str(error), code=2)
    with connection.line() as line:
        experiments = Experiments(line, connection.timeout_s, actor_name(actor))
        if given:
            given = {arm.name: arm.weight for arm in experiments.get(name).arms if arm.weight > 0} | given
        changed = experiments.set_weights(name, given, reason, anew=anew)
    told = ", evidence begins anew" if anew else ""
    out().print(f"{name}: {split_of(changed)}{told}.", markup=False)


@connected
def stop(connection: Connection, name: Name, reason: Reason = "", actor: Actor = None) -> None:
    """Ends an experiment for good: the model's default version answers everybody."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        Experiments(line, connection.timeout_s, actor_name(actor)).stop(name, reason)
    out().print(f"{name} is stopped.", markup=False)


@connected
def promote(
    connection: Connection,
    name: Name,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm or shadow.", show_default=False)],
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Ends an experiment in favour of an arm or shadow: its version answers everybody."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        done = Experiments(line, connection.timeout_s, actor_name(actor)).promote(name, arm, reason)
    versions = {each.name: each.version for each in done.arms} | {each.name: each.version for each in done.shadows}
    told = f"version {versions[arm]} of {done.model} now answers requests that name no version"
    out().print(f"{name} is concluded: {told}.", markup=False, soft_wrap=True)


@connected
def delete(connection: Connection, name: Name, actor: Actor = None) -> None:
    """Throws a draft away; its name is free again."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        Experiments(line, connection.timeout_s, actor_name(actor)).delete(name)
    out().print(f"{name} is deleted.", markup=False)


@connected
def pin(
    connection: Connection,
    model: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version.", show_default=False)],
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Lets a version answer requests that name none and are in no experiment."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        Experiments(line, connection.timeout_s, actor_name(actor)).pin(model, version, reason)
    out().print(f"Version {version} of {model} answers requests that name no version.", markup=False)


@connected
def unpin(connection: Connection, model: Model, reason: Reason = "", actor: Actor = None) -> None:
    """Gives the choice of a model's default version back to the model repository."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        Experiments(line, connection.timeout_s, actor_name(actor)).pin(model, "", reason)
    out().print(f"The model repository says which version of {model} answers.", markup=False)


@connected
def holdout(
    connection: Connection,
    share: Annotated[
        str,
        typer.Argument(metavar="SHARE", help="Part of all keys, such as 0.05 or 5%; 0 ends it.", show_default=False),
    ],
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Keeps a part of all keys out of every experiment, so that there is somebody to compare all of them with."""
    from triptych.cli.experiment_calls import Experiments
    from triptych.cli.experiment_words import percent

    try:
        part = words.share(share, "The holdout")
    except ValueError as error:
        fail(str(error), code=2)
    with connection.line() as line:
        Experiments(line, connection.timeout_s, actor_name(actor)).set_holdout(part, reason)
    out().print(f"{percent(part)} of all keys take part in no experiment.", markup=False)
