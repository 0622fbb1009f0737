"""What an experiment may look like: every limit of the contract, and what holds where nothing is said. Pure."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from servicekit.errors import InvalidArgument, Reason
from triptych.experiments.v1 import experiment_pb2 as pb

RULES = pb.Rules(alpha=0.05, accuracy_margin=0.01, slow_margin=0.02, failed_margin=0.002, slow_ms=100.0)
"""Hold where an experiment's own say nothing."""
SLOW: tuple[Literal["slow_margin", "slow_ms"], ...] = ("slow_margin", "slow_ms")
"""Those of them that are about arms only."""
HOLD_S, MIN_KEYS = 600.0, 100
"""The same of a ramp."""
LEAST_PART = 1e-3
"""Of the keys, that an arm can get."""
YEAR_S = 366 * 24 * 60 * 60
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")
_HEADER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_SET_BY_US = ("state", "detail", "epoch", "salt", "create_time", "start_time", "epoch_time", "end_time", "step")
_ROOT = "experiment"


def complete(given: pb.Experiment) -> pb.Experiment:
    """Returns an experiment with nothing left unsaid.

    Args:
        given: as somebody asks for it.

    Raises:
        InvalidArgument: it breaks a limit, or would have no effect.
    """
    _check_names(given)
    _check_arms(given)
    _check_shadows(given)
    _check_audience(given.audience)
    _check_slot(given)
    _check_rules(given.rules)
    _check_ramp(given.ramp, asked=given.HasField("ramp"))
    _check_effect(given)
    return _filled(given)


def check_name(name: str, field: str) -> None:
    """Refuses what is no name of an experiment, arm or shadow."""
    if not _NAME.fullmatch(name):
        spelled = "a small letter, then small letters, digits, `-` and `_`, at most 63 characters"
        raise InvalidArgument(f"{field} must be {spelled}; it is {name[:64]!r}.", field=field)


def check_version(version: str, field: str) -> None:
    """Refuses what is no version of a model."""
    if not _VERSION.fullmatch(version):
        raise InvalidArgument(f"{field} must be a decimal number from 1; it is {version[:32]!r}.", field=field)


def check_model(model: str, field: str) -> None:
    """Refuses what can be no model's name."""
    if not model or len(model) > 128 or not model.isprintable():
        said = f"it is {model[:64]!r}" if model else "it is missing"
        raise InvalidArgument(f"{field} must be the name of a model, at most 128 characters; {said}.", field=field)


def check_text(text: str, field: str, longest: int) -> None:
    """Refuses a text for people that is too long, or that no screen shows."""
    if len(text) > longest:
        message = f"{field} must have at most {longest:,} characters; it has {len(text):,}."
        raise InvalidArgument(message, field=field)
    if not all(letter.isprintable() or letter in "\n\t" for letter in text):
        raise InvalidArgument(f"{field} must hold printable characters only.", field=field)


def check_weight(weight: float, field: str) -> None:
    """Refuses what can be no arm's weight."""
    _must(0 < weight <= 1e6, field, "above 0 and at most 1e6", weight)


def check_parts(weights: Mapping[str, float]) -> None:
    """Refuses weights, by their fields, of which one is too small a part: it would get hardly a key, and no verdict.

    Evidence is counted exactly as long as the parts differ no more than that (`evalues`).
    """
    total = sum(weights.values())
    for field, weight in weights.items():
        limits = f"at least {LEAST_PART:g} of the sum of weights, {total:g}"
        _must(weight >= LEAST_PART * total, field, limits, weight)


def _must(holds: bool, field: str, limits: str, value: float) -> None:  # noqa: FBT001 (what must be)
    """Refuses a number; NaN holds nowhere."""
    if not holds:
        raise InvalidArgument(f"{field} must be {limits}; it is {value:g}.", field=field)


def _count(count: int, field: str, least: int, most: int) -> None:
    if not least <= count <= most:
        raise InvalidArgument(f"{field} must have {least} to {most:,} entries; there are {count:,}.", field=field)


def _without_effect(message: str, field: str) -> InvalidArgument:
    return InvalidArgument(message, reason=Reason.EXPERIMENT_WITHOUT_EFFECT, field=field)


def _check_names(given: pb.Experiment) -> None:
    check_name(given.name, f"{_ROOT}.name")
    check_model(given.model, f"{_ROOT}.model")
    check_text(given.description, f"{_ROOT}.description", 500)
    check_text(given.layer, f"{_ROOT}.layer", 63)
    present = {field.name for field, _ in given.ListFields()}
    for field in _SET_BY_US:
        if field in present:
            raise InvalidArgument(f"{_ROOT}.{field} is set by the service; leave it out.", field=f"{_ROOT}.{field}")
    names = [*(arm.name for arm in given.arms), *(shadow.name for shadow in given.shadows)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = f"Arms and shadows must have names of their own; {twice[:64]!r} is there twice."
        raise InvalidArgument(message, field=f"{_ROOT}.arms")


def _check_arms(given: pb.Experiment) -> None:
    _count(len(given.arms), f"{_ROOT}.arms", 1, 8)
    for number, arm in enumerate(given.arms):
        field = f"{_ROOT}.arms[{number}]"
        check_name(arm.name, f"{field}.name")
        check_version(arm.version, f"{field}.version")
        if not given.HasField("ramp"):
            check_weight(arm.weight, f"{field}.weight")
    if not given.HasField("ramp"):
        check_parts({f"{_ROOT}.arms[{number}].weight": arm.weight for number, arm in enumerate(given.arms)})


def _check_shadows(given: pb.Experiment) -> None:
    _count(len(given.shadows), f"{_ROOT}.shadows", 0, 8)
    for number, shadow in enumerate(given.shadows):
        field = f"{_ROOT}.shadows[{number}]"
        check_name(shadow.name, f"{field}.name")
        check_version(shadow.version, f"{field}.version")
        _must(0 < shadow.share <= 1, f"{field}.share", "above 0 and at most 1", shadow.share)


def _check_audience(audience: pb.Audience) -> None:
    tenants, headers = f"{_ROOT}.audience.tenants", f"{_ROOT}.audience.headers"
    _count(len(audience.tenants), tenants, 0, 1000)
    for number, tenant in enumerate(audience.tenants):
        check_text(tenant, f"{tenants}[{number}]", 128)
        if not tenant:
            raise _without_effect(f"{tenants}[{number}] is empty: no request names such a tenant.", tenants)
    _count(len(audience.headers), headers, 0, 8)
    for name, value in audience.headers.items():
        if not _HEADER.fullmatch(name) or name.endswith("-bin"):
            spelled = "small letters, digits, `-`, `_` and `.`, at most 128 characters, without `-bin` at the end"
            raise InvalidArgument(f"A name in {headers} must be {spelled}; one is {name[:64]!r}.", field=headers)
        check_text(value, f"{headers}[{name}]", 256)


def _check_slot(given: pb.Experiment) -> None:
    begin, end = given.slot_begin, given.slot_end or 1.0
    _must(0 <= begin <= 1, f"{_ROOT}.slot_begin", "0 to 1", begin)
    _must(0 <= end <= 1, f"{_ROOT}.slot_end", "0 to 1", end)
    if begin >= end:
        message = f"{_ROOT}.slot_end must be above slot_begin, {begin:g}; it is {end:g}: no key would take part."
        raise _without_effect(message, f"{_ROOT}.slot_end")


def _check_rules(rules: pb.Rules) -> None:
    if rules.HasField("alpha"):
        _must(0 < rules.alpha <= 0.5, f"{_ROOT}.rules.alpha", "above 0 and at most 0.5", rules.alpha)
    for name in ("accuracy_margin", "slow_margin", "failed_margin"):
        _must(0 <= getattr(rules, name) <= 1, f"{_ROOT}.rules.{name}", "0 to 1", getattr(rules, name))
    if rules.HasField("slow_ms"):
        _must(0 < rules.slow_ms < math.inf, f"{_ROOT}.rules.slow_ms", "above 0", rules.slow_ms)
    over = rules.stop_after_s == 0 or 1 <= rules.stop_after_s <= YEAR_S
    _must(over, f"{_ROOT}.rules.stop_after_s", f"1 to {YEAR_S}, or 0 for never", rules.stop_after_s)


def _check_ramp(ramp: pb.Ramp, *, asked: bool) -> None:
    if not asked:
        return
    steps = f"{_ROOT}.ramp.steps"
    _count(len(ramp.steps), steps, 1, 16)
    before = 0.0
    for number, step in enumerate(ramp.steps):
        limits = f"above {before:g}, since steps ascend, and {LEAST_PART:g} to {1 - LEAST_PART:g}"
        _must(before < step and LEAST_PART <= step <= 1 - LEAST_PART, f"{steps}[{number}]", limits, step)
        before = step
    hold_s = ramp.hold_s or HOLD_S
    _must(1 <= hold_s <= 2_592_000, f"{_ROOT}.ramp.hold_s", "1 to 2592000", hold_s)
    _must(ramp.min_keys >= 0, f"{_ROOT}.ramp.min_keys", "0 or more", ramp.min_keys)


def _check_effect(given: pb.Experiment) -> None:
    """Refuses what would change nothing, or wait for ever."""
    control, *candidates = given.arms
    if not candidates and not given.shadows:
        message = "One arm alone compares nothing; add an arm or a shadow."
        raise _without_effect(message, f"{_ROOT}.arms")
    if given.HasField("ramp") and len(candidates) != 1:
        message = f"A ramp lets the part of the only candidate grow: it needs 2 arms; there are {len(given.arms)}."
        raise _without_effect(message, f"{_ROOT}.ramp")
    if given.HasField("ramp"):
        _check_unweighted(given.arms)
    if not candidates:
        _check_nobody_waits(given.rules)
    if given.rules.auto_promote:
        _check_promotion(control, candidates, given.shadows)


def _check_unweighted(arms: Iterable[pb.Arm]) -> None:
    """Refuses weights beside a ramp, which would be overwritten by its first step."""
    for number, arm in enumerate(arms):
        if arm.weight != 0:
            field = f"{_ROOT}.arms[{number}].weight"
            message = f"{field} must be left out beside a ramp, whose steps split the keys; it is {arm.weight:g}."
            raise _without_effect(message, field)


def _check_nobody_waits(rules: pb.Rules) -> None:
    """Refuses what is asked of the time of answers that nobody waits for."""
    for name in SLOW:
        if rules.HasField(name):
            field = f"{_ROOT}.rules.{name}"
            message = f"{field} is about arms that answer beside the control: nobody waits for a shadow; leave it out."
            raise _without_effect(message, field)


def _check_promotion(control: pb.Arm, candidates: list[pb.Arm], shadows: Iterable[pb.Shadow]) -> None:
    field = f"{_ROOT}.rules.auto_promote"
    seen = list(shadows)
    if not candidates and len(seen) > 1:
        message = f"auto_promote needs a candidate, or one shadow alone; there are {len(seen)} shadows."
        raise _without_effect(message, field)
    if all(each.version == control.version for each in candidates or seen):
        message = f"auto_promote could promote nothing but the control's own version, {control.version}."
        raise _without_effect(message, field)


def _filled(given: pb.Experiment) -> pb.Experiment:
    filled = pb.Experiment()
    filled.CopyFrom(given)
    filled.rules.CopyFrom(RULES)
    filled.rules.MergeFrom(given.rules)
    if len(given.arms) == 1:
        for name in SLOW:
            filled.rules.ClearField(name)
    filled.slot_end = given.slot_end or 1.0
    if filled.HasField("ramp"):
        filled.ramp.hold_s = given.ramp.hold_s or HOLD_S
        filled.ramp.min_keys = given.ramp.min_keys or MIN_KEYS
        set_part(filled, given.ramp.steps[0])
    return filled


def set_part(experiment: pb.Experiment, part: float) -> None:
    """Gives the only candidate a part of the keys, and the control the rest."""
    control, candidate = experiment.arms
    control.weight, candidate.weight = 1 - part, part
