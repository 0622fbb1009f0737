"""`triptych experiment create`: an experiment from options, from a file, or from both."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.cli import create_options as options
from triptych.cli import words
from triptych.cli.connection import Connection, connected
from triptych.cli.experiment_options import Actor, Reason, actor_name
from triptych.cli.options import Json
from triptych.cli.output import err, fail, out, print_json

if TYPE_CHECKING:
    from triptych.experiments.v1.experiment_pb2 import Experiment

SET_BY_THE_SERVICE = frozenset(
    ("state", "detail", "epoch", "salt", "create_time", "start_time", "epoch_time", "end_time", "step")
)
Words = Sequence[str]


@connected
def create(  # noqa: PLR0917 (Typer's options)
    connection: Connection,
    name: options.NewName,
    model: options.Model = "",
    arm: options.Arms = None,
    shadow: options.Shadows = None,
    ramp: options.Ramp = "",
    hold: options.Hold = "",
    min_keys: options.MinKeys = None,
    tenant: options.Tenants = None,
    header: options.Headers = None,
    layer: options.Layer = "",
    slot: options.Slot = "",
    accuracy_margin: options.AccuracyMargin = None,
    slow_margin: options.SlowMargin = None,
    failed_margin: options.FailedMargin = None,
    slow_ms: options.SlowMs = None,
    alpha: options.Alpha = None,
    auto_promote: options.AutoPromote = False,
    promote_no_worse: options.PromoteNoWorse = False,
    no_rollback: options.NoRollback = False,
    stop_after: options.StopAfter = "",
    description: options.Description = "",
    file: options.File = None,
    start: options.StartAtOnce = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Makes an experiment, as a draft unless it is started at once.

    For example: triptych experiment create rate --model lite0 --arm control=1:95 --arm new=2:5 --start
    """
    if reason and not start:
        fail("--reason says why it is started, so it goes with --start; for the rest there is --description.", code=2)
    rules = {
        "accuracy_margin": _of_points(accuracy_margin),
        "slow_margin": _of_points(slow_margin),
        "failed_margin": _of_points(failed_margin),
        "slow_ms": slow_ms,
        "alpha": alpha,
        "auto_promote": auto_promote or None,
        "promote_no_worse": promote_no_worse or None,
        "no_rollback": no_rollback or None,
    }
    try:
        experiment = read_experiment(file) if file else _empty()
        experiment.name = name
        fill(experiment, model=model, description=description, layer=layer)
        fill_ramp(experiment, ramp, hold, min_keys)
        fill_arms(experiment, arm or (), shadow or ())
        fill_audience(experiment, tenant or (), header or ())
        if stop_after:
            rules["stop_after_s"] = words.lasting_s(stop_after, "--stop-after")
        fill(experiment.rules, **rules)
        if slot:
            experiment.slot_begin, experiment.slot_end = words.slot(slot)
        require(experiment)
    except ValueError as error:
        fail(str(error), code=2)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.")
    _create(connection, experiment, Start(start, reason), actor_name(actor), json=json)


@dataclass(frozen=True, slots=True)
class Start:
    """Says whether to start it, and why."""

    wanted: bool
    reason: str


def _create(connection: Connection, experiment: "Experiment", start: Start, actor: str, *, json: bool) -> None:
    from triptych import ClassifyError
    from triptych.cli.experiment_calls import Experiments
    from triptych.cli.experiment_view import as_json

    with connection.line() as line:
        experiments = Experiments(line, connection.timeout_s, actor)
        at_once = start.wanted and not start.reason  # a reason travels with a call of its own
        made = experiments.create(experiment, start=at_once)
        if start.wanted and not at_once:
            try:
                made = experiments.start(made.name, start.reason)
            except ClassifyError as error:
                fail(f"{made.name} is a draft now, but was not started: {connection.explain(error)}")
    if json:
        print_json(as_json(made))
        return
    told = "runs" if start.wanted else "is a draft"
    out().print(f"{made.name} {told}.", markup=False)
    next_step = f"watch {made.name}" if start.wanted else f"start {made.name}"
    err().print(f"Next: triptych experiment {next_step}", style="dim", markup=False)


def _empty() -> "Experiment":
    from triptych.experiments.v1.experiment_pb2 import Experiment

    return Experiment()


def _of_points(points: float | None) -> float | None:
    return None if points is None else points / 100


def read_experiment(path: Path) -> "Experiment":
    """Reads an experiment from JSON; what the service sets is left out, so that one can be made from another.

    Raises:
        ValueError: the file holds no experiment.
        OSError: it cannot be read.
    """
    from google.protobuf import json_format

    from triptych.experiments.v1.experiment_pb2 import Experiment

    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from None
    if not isinstance(data, Mapping):
        raise ValueError(f"{path} holds no JSON object.")  # noqa: TRY004 (the file's fault, not a type of ours)
    data = data.get("experiment", data)  # as `show --json` prints it
    try:
        read = json_format.ParseDict(
            {key: value for key, value in data.items() if key not in SET_BY_THE_SERVICE}, Experiment()
        )
    except json_format.ParseError as error:
        raise ValueError(f"{path} is no experiment: {error}.") from None
    if "state" in data and read.HasField("ramp"):  # then the weights are those of a step
        for arm in read.arms:
            arm.ClearField("weight")
    return read


def fill(message: Any, **values: Any) -> None:
    """Sets those fields of a message that have a value."""
    for name, value in values.items():
        if value not in (None, ""):
            setattr(message, name, value)


def fill_arms(experiment: "Experiment", arms: Words, shadows: Words) -> None:
    """Sets the arms and shadows, each kind where there is any.

    An arm's weight is 1 where none is given; beside a ramp, whose steps split the keys, there is none.

    Raises:
        ValueError: one of the words has another shape.
    """
    _fill_list(experiment.arms, arms, words.arm, "weight", None if experiment.HasField("ramp") else 1.0)
    _fill_list(experiment.shadows, shadows, words.shadow, "share", 1.0)


def _fill_list(
    messages: Any, given: Words, read: Callable[[str], tuple[str, str, float | None]], part: str, usual: float | None
) -> None:
    if given:
        del messages[:]
    for word in given:
        name, version, value = read(word)
        messages.add(name=name, version=version, **{part: usual if value is None else value})


def fill_audience(experiment: "Experiment", tenants: "list[str] | tuple[()]", headers: "list[str] | tuple[()]") -> None:
    """Sets whose requests take part, where that is said.

    Raises:
        ValueError: one of the words has another shape.
    """
    if tenants:
        experiment.audience.tenants[:] = tenants
    for word in headers:
        name, value = words.pair(word, "x-app=beta, which is NAME=VALUE")
        experiment.audience.headers[name.lower()] = value


def fill_ramp(experiment: "Experiment", ramp: str, hold: str, min_keys: int | None) -> None:
    """Sets how the candidate's part grows, where that is said.

    Raises:
        ValueError: one of the words has another shape, or there is a hold of no ramp, or of no time.
    """
    if ramp:
        experiment.ramp.steps[:] = words.steps(ramp)
    if (hold or min_keys) and not experiment.ramp.steps:
        raise ValueError("--hold and --min-keys are of a ramp: say its steps with --ramp, such as 0.01,0.05,0.25.")
    if hold:
        experiment.ramp.hold_s = words.lasting_s(hold, "--hold")
    if min_keys:
        experiment.ramp.min_keys = min_keys


def require(experiment: "Experiment") -> None:
    """Refuses what is no experiment yet.

    Raises:
        ValueError: there is no model, or no arm.
    """
    if not experiment.model:
        raise ValueError("Say which model it is about: --model NAME.")
    if not experiment.arms:
        raise ValueError("Say which versions it compares: --arm control=1:95 --arm new=2:5, the control first.")
