"""The shapes of experiments and feedback over HTTP, for /docs alone; tests hold them against the contract."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ACTOR = "Who does it, for the log of decisions; at most 100 characters. Absent: `somebody`."
NAME = "A small letter, then small letters, digits, `-` and `_`; at most 63 characters."
TIME = "RFC 3339, such as `2026-11-28T12:00:00Z`."
INT64 = "A whole number, as a string of digits: protobuf's JSON for 64 bits."


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Arm(_Request):
    """Is a version that answers a part of the requests."""

    name: str = Field(description=NAME)
    version: str = Field(description="Version of the model, a decimal number.")
    weight: float = Field(
        default=0,
        ge=0,
        le=1e6,
        description="At least a thousandth of the sum of the weights of all arms, of which it is the part. Absent "
        "beside a ramp. In an answer 0: rolled back.",
    )


class Shadow(_Request):
    """Is a version that sees a part of the requests, and whose answers nobody gets."""

    name: str = Field(description=NAME)
    version: str = Field(description="Version of the model, a decimal number.")
    share: float = Field(
        ge=0,
        le=1,
        description="Above 0; part of the experiment's requests that it sees. In an answer 0: rolled back.",
    )


class Audience(_Request):
    """Says whose requests take part."""

    tenants: list[str] = Field(default=[], description="Of which `X-Tenant` must name one; at most 1,000. Empty: any.")
    headers: dict[str, str] = Field(default={}, description="Names in small letters, with the value each must have.")


class Rules(_Request):
    """Says what is asked of a candidate; margins are differences of shares."""

    alpha: float = Field(default=0.05, gt=0, le=0.5, description="Largest probability that any verdict is ever wrong.")
    accuracy_margin: float = Field(default=0.01, ge=0, le=1, description="Loss of accuracy that is allowed.")
    slow_margin: float = Field(default=0.02, ge=0, le=1, description="By how much more may be late; of arms only.")
    failed_margin: float = Field(default=0.002, ge=0, le=1, description="By how much more of the requests may fail.")
    slow_ms: float = Field(default=100, gt=0, description="An answer that takes longer is late; of arms only.")
    promote_no_worse: bool = Field(default=False, description="Promote also what is surely no worse.")
    auto_promote: bool = Field(default=False, description="Promote without asking anybody, once the verdict says so.")
    no_rollback: bool = Field(default=False, description="Leave a candidate that is surely bad in place.")
    stop_after_s: float = Field(default=0, le=31_622_400, description="Stop it so long after its start. 0: never.")


class Ramp(_Request):
    """Lets the part of the only candidate grow while nothing speaks against it."""

    steps: list[float] = Field(description="Parts of the candidate, ascending, 0.001 to 0.999; 1 to 16.")
    hold_s: float = Field(default=600, ge=1, le=2_592_000, description="Least time of a step, in seconds.")
    min_keys: int | str = Field(default=100, description=f"Keys that the candidate answers in a step. {INT64}")


class ExperimentBody(_Request):
    """Compares versions of one model while they answer real requests."""

    name: str = Field(description=f"Unique for ever. {NAME}")
    model: str = Field(description="Name of the model.")
    description: str = Field(default="", max_length=500, description="What it is about, for people.")
    arms: list[Arm] = Field(description="1 to 8; the first one is the control. One alone needs a shadow.")
    shadows: list[Shadow] = Field(default=[], description="At most 8.")
    audience: Audience | None = Field(default=None, description="Absent: everybody's requests take part.")
    layer: str = Field(default="", max_length=63, description="Experiments of one model and layer share no key.")
    slot_begin: float = Field(default=0, ge=0, le=1, description="Where its part of the layer's keys begins.")
    slot_end: float = Field(default=1, ge=0, le=1, description="Where it ends.")
    rules: Rules | None = Field(default=None, description="Absent: the defaults.")
    ramp: Ramp | None = Field(default=None, description="Absent: weights stay until somebody changes them.")


class Experiment(ExperimentBody):
    """Is an experiment and where it stands."""

    state: Literal[
        "EXPERIMENT_STATE_DRAFT",
        "EXPERIMENT_STATE_RUNNING",
        "EXPERIMENT_STATE_RAMPING",
        "EXPERIMENT_STATE_STOPPED",
        "EXPERIMENT_STATE_CONCLUDED",
    ]
    detail: str = Field(description="Why it stands there, in a sentence.")
    epoch: int = Field(description="Times that weights were changed; evidence begins anew with each.")
    salt: str = Field(description="Deals the keys. Empty where nobody may change experiments.")
    step: int = Field(description="Step of the ramp that holds, from 0.")
    create_time: str | None = Field(default=None, description=TIME)
    start_time: str | None = Field(default=None, description="Absent: it was never started.")
    epoch_time: str | None = Field(default=None, description="When the weights were last changed.")
    end_time: str | None = Field(default=None, description="Absent: it has not ended.")


class CreateBody(_Request):
    """Makes an experiment."""

    experiment: ExperimentBody
    start: bool = Field(default=False, description="Whether to start it at once.")
    actor: str = Field(default="", max_length=100, description=ACTOR)


class ActBody(_Request):
    """Says who does it, and why."""

    actor: str = Field(default="", max_length=100, description=ACTOR)
    reason: str = Field(default="", max_length=500, description="Why, for the log of decisions.")


class PromoteBody(ActBody):
    """Promotes an arm or a shadow."""

    arm: str = Field(description="Its name.")


class WeightsBody(ActBody):
    """Gives the arms other weights."""

    weights: dict[str, float] = Field(
        default={},
        description="Weight of every arm, by name; to name a rolled back one revives it. Required but `anew`.",
    )
    anew: bool = Field(default=False, description="Evidence begins anew, also with the same weights.")


class PinBody(ActBody):
    """Says which version answers requests that name none."""

    version: str = Field(default="", description="A decimal number. Empty: as the model repository says.")


class HoldoutBody(ActBody):
    """Keeps keys out of every experiment."""

    share: float = Field(ge=0, le=1, description="Part of all keys.")


class OneExperiment(BaseModel):
    """Holds an experiment as it is now."""

    experiment: Experiment


class Experiments(BaseModel):
    """Lists experiments."""

    experiments: list[Experiment] = Field(description="The newest first.")
    next_page_token: str = Field(description="`page_token` of the next page. Empty: this is the last one.")


class Finding(BaseModel):
    """Is what one metric says: the candidate's share less the control's, and a range that holds whenever one looks."""

    metric: str
    estimate: float
    low: float
    high: float
    events: str = Field(description=f"What it is counted from. {INT64}")
    word: str = Field(description="`better`, `worse`, `no worse`, `too bad`, `within bounds` or `open`.")


class Verdict(BaseModel):
    """Is what the facts say of one candidate, or of one shadow."""

    candidate: str
    advice: str = Field(description="`go on`, `roll back`, `promote` or `repair`.")
    sentence: str
    findings: list[Finding]
    epoch: int
    control_keys: str = Field(description=f"Keys that were dealt the control. {INT64}")
    candidate_keys: str = Field(description=f"Keys that were dealt the candidate. {INT64}")
    time: str | None = Field(default=None, description=TIME)


class Verdicts(BaseModel):
    """Lists verdicts."""

    verdicts: list[Verdict]


class Decision(BaseModel):
    """Is one entry of the log of decisions."""

    id: str = Field(description=INT64)
    experiment: str = Field(description="Its name. Empty: it was about no single one.")
    action: str
    actor: str = Field(description="Who, or `rule`.")
    reason: str
    facts_json: str = Field(description="The numbers that it rests on, as JSON. Empty: none.")
    time: str | None = Field(default=None, description=TIME)


class Decisions(BaseModel):
    """Lists decisions."""

    decisions: list[Decision] = Field(description="The newest first.")
    next_page_token: str = Field(description="`page_token` of the next page. Empty: this is the last one.")


class Done(BaseModel):
    """Says that it is done; there is nothing to tell."""


class FeedbackItem(_Request):
    """Is what somebody says was right; exactly one of `label_index` and `label` is given."""

    prediction_id: str = Field(max_length=64, description="That of the answer that it is about.")
    label_index: int | None = Field(default=None, ge=0, le=1_000_000, description="Index of the right class.")
    label: str | None = Field(default=None, max_length=256, description="Its name, as in the model's labels.")
    source: Literal["user", "annotator", "system"] | None = Field(default=None, description="Absent: `user`.")
    feedback_id: str | None = Field(default=None, max_length=64, description="The same id again is a repeat.")
    time: str | None = Field(default=None, description=f"When it was said. {TIME} Absent: now.")


class FeedbackBatch(_Request):
    """Is feedback to several predictions; all of it is taken, or none."""

    feedback: list[FeedbackItem] = Field(min_length=1, max_length=1000)


class Accepted(BaseModel):
    """Says that all of it is safe."""

    accepted: int = Field(description="How many were taken, repeats included.")
    unknown_label_count: int = Field(default=0, description="Those with a label of no model here. Absent: none.")
    unknown_labels: list[str] = Field(default=[], description="A sentence on each of the first 3. Absent: none.")
