"""Facts are what a straightforward count finds, whatever came twice or in another order."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from fakes.evidence import (
    ANNOTATOR,
    EXPERIMENT,
    NAMES,
    SYSTEM,
    USER,
    at,
    dealt,
    entries,
    evidence,
    exposure,
    feedback,
    said,
    shadowed,
)
from fakes.postgres import Postgres
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.verdicts.worlds import Shadowing, Truth, independent, shadow_track, tracks
from services.experiments.apply import apply
from services.experiments.database import Database, open_database
from services.experiments.evalues import Pairs, Rate
from services.experiments.facts import gather
from services.experiments.rows import to_rows
from services.experiments.tables import METADATA
from services.experiments.verdicts import Advice, Facts, Hour, Rules, judge
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2

Event = pb.Exposure | pb.PredictionRecord | pb.ShadowRecord | feedback_service_pb2.Feedback
ARMS = ["control", "bold", "shy"]
HOUR_S = 3600
WEIGHT = {USER: 1, SYSTEM: 2, ANNOTATOR: 3}


def _store(database: Database, *batches: Iterable[Event], hour: int = 0) -> None:
    """Applies each batch in a transaction of its own, as if it had come in an hour of 2020, from 0."""
    for batch in batches:
        messages = [
            feedback(each) if isinstance(each, feedback_service_pb2.Feedback) else evidence(each) for each in batch
        ]
        with database.begin() as connection:
            apply(connection, to_rows(entries(messages, hour), "journal", 10**9))


def _gathered(database: Database, hour: float = 0) -> dict[str, Facts]:
    """Returns the facts as they stand in an hour of 2020, from 0."""
    with database.connect() as connection:
        return gather(connection, EXPERIMENT, at(hour * HOUR_S).ToMicroseconds())


def test_nothing_is_counted_of_nothing(database: Database) -> None:
    """Every candidate has facts, though."""
    assert {"bold": Facts(), "shy": Facts(), "int8": Facts(shadow=True)} == _gathered(database)


def test_each_key_counts_once(database: Database) -> None:
    """By its first request with an outcome, and by the prediction whose label came first."""
    _store(
        database,
        [
            exposure(1, void=True),
            exposure(1, slow=True),
            exposure(1, failed=True),
            exposure(2),
            exposure(3, "bold", failed=True),
        ],
        [exposure(4, "bold", void=True), exposure(9, epoch=1), exposure(9, experiment="another")],
        [
            dealt("b", 1, first=1),
            dealt("a", 1, first=0),
            dealt("c", 3, "bold", first=2),
            dealt("d", 3, "bold", first=3),
        ],
        [said("b", 1), said("c", "red fox"), said("d", 0)],
    )
    facts = _gathered(database)["bold"]
    assert (2, 2) == facts.assigned
    assert (Rate(0, 2), Rate(1, 1)) == facts.failed
    assert (Rate(1, 2), Rate(0, 1)) == facts.slow
    assert (Rate(1, 1), Rate(1, 1)) == facts.correct
    _store(database, [said("a", 3)])  # the key's first prediction gets its label later than the second one
    assert (Rate(1, 1), Rate(1, 1)) == _gathered(database)["bold"].correct
    _store(database, [said("b", 0, source=ANNOTATOR)])  # a correction counts, and makes it no later
    assert (Rate(0, 1), Rate(1, 1)) == _gathered(database)["bold"].correct


def test_a_version_that_breaks_late_is_rolled_back(database: Database) -> None:
    """All its keys were counted while it was fine; what they meet in the current hour is too bad."""
    keys = [(number, ("control", "bold")[number % 2]) for number in range(2000)]
    _store(database, [exposure(*each) for each in keys])
    before = _gathered(database)["bold"]
    _store(database, [exposure(*each, failed=each[1] == "bold") for each in keys], hour=1)
    after = _gathered(database, hour=1)["bold"]

    assert (Advice.GO_ON, Advice.ROLL_BACK) == tuple(judge(facts, Rules()).advice for facts in (before, after))
    assert " in the last hour (2,000 keys); roll it back." in judge(after, Rules()).sentence
    assert (Rate(0, 1000), Rate(0, 1000)) == after.failed
    assert [
        Hour(1, (Rate(0, 1000), Rate(0, 1000)), (Rate(0, 1000), Rate(1000, 1000))),
        Hour(0, (Rate(0, 1000), Rate(0, 1000)), (Rate(0, 1000), Rate(0, 1000))),
    ] == list(after.hours)
    assert [1] == [hour.index for hour in _gathered(database, hour=2)["bold"].hours]
    assert () == _gathered(database, hour=3)["bold"].hours


def test_a_key_counts_once_an_hour(database: Database) -> None:
    """However often it fails; by its first outcome in the hour."""
    _store(database, [exposure(1), exposure(2, "bold")])
    _store(
        database,
        *([exposure(1), exposure(2, "bold", void=True), *[exposure(2, "bold", failed=True)] * 100],) * 100,
        hour=1,
    )
    _store(database, [exposure(2, "bold")], hour=1)
    facts = _gathered(database, hour=1)["bold"]

    assert (Rate(0, 1), Rate(0, 1)) == facts.failed
    assert [(Rate(0, 1), Rate(1, 1)), (Rate(0, 1), Rate(0, 1))] == [hour.failed for hour in facts.hours]


def test_what_another_version_answered_says_nothing_of_the_arm(database: Database) -> None:
    """Nor does what another experiment or epoch saw."""
    _store(
        database,
        [dealt("a", 1, fallback=True), dealt("b", 2, epoch=1), dealt("c", 3, experiment="another")],
        [shadowed(name, 0, 0) for name in "abcx"],
        [said(name, 0) for name in "abcx"],
    )
    assert {"bold": Facts(), "shy": Facts(), "int8": Facts(shadow=True)} == _gathered(database)


def test_a_shadow_is_compared_on_the_controls_pictures(database: Database) -> None:
    """Its failures are counted by key, and its answers by picture; one that it failed is another answer, and wrong."""
    _store(
        database,
        [
            dealt("a", 1, first=0),
            dealt("b", 1, first=1),
            dealt("c", 2, first=2),
            dealt("d", 3, "bold"),
            dealt("e", 4, first=None),
        ],
        [shadowed("a", None, 0), shadowed("b", 1, 1), shadowed("c", 3, 2), shadowed("d", 1, 0), shadowed("e", 1, None)],
        [said("a", 0), said("b", "tabby"), said("c", 3)],
    )
    assert (
        Facts(
            shadow=True,
            pairs=Pairs(wins=1, losses=1, ties=1),
            disagreement=Rate(2, 3),
            failed=(Rate(0, 0), Rate(1, 3)),
        )
        == _gathered(database)["int8"]
    )


def test_a_picture_counts_once_for_a_shadow(database: Database) -> None:
    """By its digest: the first that both saw, and the first that has a label; one without a digest each time."""
    still, other = bytes(32), bytes([7] * 32)
    _store(
        database,
        [dealt(f"p{number:03}", number, first=0, image_digest=still) for number in range(100)],
        [shadowed(f"p{number:03}", 1 if number < 50 else 0, 0) for number in range(100)],
        [said("p060", 0), said("p061", 0), said("p003", 0)],
        [dealt("q1", 1, first=None, image_digest=other), dealt("q2", 1, first=0, image_digest=other)],
        [shadowed("q1", 0, None), shadowed("q2", 0, 0)],
        [dealt("r1", 1, first=0), dealt("r2", 1, first=0), shadowed("r1", 0, 0), shadowed("r2", 0, 0)],
    )
    facts = _gathered(database)["int8"]

    assert Rate(1, 4) == facts.disagreement
    assert Pairs(wins=0, losses=0, ties=1) == facts.pairs


def test_simulated_facts_have_the_shape_of_those_that_are_counted(database: Database) -> None:
    """What `benchmarks.verdicts` simulates of arms, with labels for some, is what the tables say of the same events."""
    truth = Truth(slow=(0.1, 0.2), failed=(0.1, 0.2), correct=(0.8, 0.6), weights=(1, 1, 1))
    events = independent(truth, 200, np.random.default_rng(1))
    told: list[Event] = []
    for number, arm in enumerate(ARMS[each] for each in events.arm):
        name, right = f"p{number:03}", bool(events.right[number])
        told.append(exposure(number, arm, slow=bool(events.slow[number]), failed=bool(events.failed[number])))
        told.append(dealt(name, number, arm, first=0 if right else 1))
        told += [said(name, 0)] if events.label_at[number] < 200 else []
    _store(database, told)
    found = _gathered(database)

    assert [each.facts(199) for each in tracks(events, truth)] == [replace(found[arm], hours=()) for arm in ARMS[1:]]


def test_simulated_facts_of_a_shadow_have_the_shape_of_those_that_are_counted(database: Database) -> None:
    """With failures, labels for some pictures, and such as both have wrong."""
    shadow = Shadowing(difference=-0.05, discordant=0.4, both_wrong=0.1, labelled=0.5, failed=0.1)
    track = shadow_track(shadow, 200, np.random.default_rng(1))
    counted = (*track.pairs, track.disagreement.hits, track.failed[1].hits)
    told: list[Event] = []
    for number in range(200):
        win, loss, tie, differs, failed = (bool(np.diff(each, prepend=0)[number]) for each in counted)
        name, served = f"p{number:03}", 1 if win else 0
        told += [exposure(number), dealt(name, number, first=served)]
        told.append(shadowed(name, None if failed else 2 if differs and not win else 0, served))
        told += [said(name, 3 if tie and differs else 0)] if win or loss or tie else []
    _store(database, told)

    assert track.facts(199) == _gathered(database)["int8"]


# A few ids, keys and labels, so that much happens to each.
_ids = st.integers(0, 11).map("p{:02}".format)
_keys = st.integers(0, 5)
_classes = st.none() | st.integers(0, len(NAMES) - 1)
_digests = st.sampled_from([b"", b"", bytes(32), bytes([1] * 32), bytes([2] * 32)])
_elsewhere = st.sampled_from([{}, {}, {}, {}, {"epoch": 1}, {"experiment": "another"}])


def _arm(number: int) -> str:
    """Returns the arm of a key: it gets the same one each time."""
    return ARMS[number % len(ARMS)]


def _exposure(number: int, outcome: tuple[bool, bool, bool], other: dict[str, Any]) -> pb.Exposure:
    void, failed, slow = outcome
    return exposure(number, _arm(number), void=void, failed=failed, slow=slow, **other)


def _prediction(
    name: str, number: int, first: int | None, fallback: bool, digest: bytes, other: dict[str, Any]
) -> pb.PredictionRecord:
    return dealt(name, number, _arm(number), first, fallback=fallback, image_digest=digest, **other)


def _shadow(name: str, first: int | None, served: int | None, other: dict[str, Any]) -> pb.ShadowRecord:
    return shadowed(name, first, served, **other)


_exposures = st.builds(_exposure, _keys, st.tuples(st.booleans(), st.booleans(), st.booleans()), _elsewhere)
_predictions = st.builds(
    _prediction, _ids, _keys, _classes, st.sampled_from([False, False, True]), _digests, _elsewhere
)
_shadows = st.builds(_shadow, _ids, _classes, _classes, _elsewhere)
_label = st.integers(0, len(NAMES) - 1) | st.sampled_from(NAMES)
_feedback = st.builds(
    lambda name, label, source, time, number: said(name, label, source=source, time=at(time), feedback_id=f"f{number}"),
    _ids,
    _label,
    st.sampled_from([USER, SYSTEM, ANNOTATOR]),
    st.integers(0, 5),
    st.integers(0, 40),
)


@dataclass
class Expected:
    """Counts one event after the other in plain Python."""

    exposures: dict[tuple[str, int, bytes], list[Any]] = field(default_factory=dict)
    predictions: dict[str, pb.PredictionRecord] = field(default_factory=dict)
    shadows: dict[tuple[str, str], pb.ShadowRecord] = field(default_factory=dict)
    labels: dict[str, feedback_service_pb2.Feedback] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Takes an event; of those with one id the first."""
        match event:
            case pb.Exposure():
                key = event.experiment, event.epoch, event.key_hash
                kept = self.exposures.setdefault(key, [event.arm, None, None])
                if kept[1] is None and not event.void:
                    kept[1:] = event.failed, event.slow
            case pb.PredictionRecord():
                self.predictions.setdefault(event.prediction_id, event)
            case pb.ShadowRecord():
                self.shadows.setdefault((event.prediction_id, event.experiment), event)
            case _:
                self.labels.setdefault(event.feedback_id, event)

    def facts(self) -> dict[str, Facts]:
        """Returns what was counted."""
        rates = {arm: self._of_arm(arm) for arm in ARMS}
        found = {}
        for arm in ARMS[1:]:
            assigned, failed, slow, correct = zip(rates["control"], rates[arm], strict=True)
            hours = (Hour(0, slow, failed),) if failed[0].total and failed[1].total else ()
            found[arm] = Facts(assigned=assigned, failed=failed, slow=slow, correct=correct, hours=hours)
        return {**found, "int8": self._of_shadow(rates["control"][1])}

    def _of_arm(self, arm: str) -> Any:
        here = (EXPERIMENT.name, EXPERIMENT.epoch)
        kept = [row for key, row in self.exposures.items() if key[:2] == here and row[0] == arm]
        decided = [row for row in kept if row[1] is not None]
        failed, slow = (Rate(sum(row[place] for row in decided), len(decided)) for place in (1, 2))
        by_key: dict[bytes, bool] = {}
        for name in self._labelled():
            record = self.predictions[name]
            if self._counts(record, arm):
                by_key.setdefault(record.key_hash, bool(self._right(name, record.top[:1])))
        return len(kept), failed, slow, Rate(sum(by_key.values()), len(by_key))

    def _of_shadow(self, control_failed: Rate) -> Facts:
        wins = losses = ties = differ = seen = 0
        failures: dict[bytes, bool] = {}
        pictures: set[bytes | str] = set()
        labelled: set[bytes | str] = set()
        outcomes: dict[str, tuple[bytes | str, bool, bool]] = {}
        for (name, experiment), shadow in sorted(self.shadows.items(), key=lambda item: item[0]):
            served = self.predictions.get(name)
            if served is None or not self._counts(served, "control"):
                continue
            if (experiment, shadow.epoch) != (EXPERIMENT.name, EXPERIMENT.epoch):
                continue
            failures.setdefault(served.key_hash, not shadow.HasField("first"))
            if not shadow.HasField("served"):
                continue
            picture = served.image_digest or name
            first = [shadow.first] if shadow.HasField("first") else []
            if picture not in pictures:
                pictures.add(picture)
                seen += 1
                differ += not first or first[0].index != shadow.served.index
            ours, theirs = self._right(name, first), self._right(name, served.top[:1])
            if ours is not None:
                outcomes[name] = picture, bool(ours), bool(theirs)
        for picture, ours, theirs in (outcomes[name] for name in self._labelled() if name in outcomes):
            if picture not in labelled:
                labelled.add(picture)
                wins += ours and not theirs
                losses += theirs and not ours
                ties += ours == theirs
        failed = Rate(sum(failures.values()), len(failures))
        return Facts(
            shadow=True,
            pairs=Pairs(wins, losses, ties),
            disagreement=Rate(differ, seen),
            failed=(control_failed, failed),
        )

    def _labelled(self) -> list[str]:
        """Returns predictions as their first labels came."""
        names = dict.fromkeys(each.prediction_id for each in self.labels.values())
        return [name for name in names if name in self.predictions]

    def _counts(self, record: pb.PredictionRecord, arm: str) -> bool:
        return (record.experiment, record.epoch, record.arm, record.fallback) == (
            EXPERIMENT.name,
            EXPERIMENT.epoch,
            arm,
            False,
        )

    def _right(self, name: str, first: Sequence[pb.RankedClass]) -> bool | None:
        """Says whether an answer is right; None where nobody says what is."""
        said = [each for each in self.labels.values() if each.prediction_id == name]
        if not said:
            return None
        # Of what one source says at one time the later one holds, and of that the order in which it came.
        place = {id(each): number for number, each in enumerate(self.labels.values())}
        truth = max(said, key=lambda each: (WEIGHT[each.source], each.time.seconds, place[id(each)]))
        if truth.HasField("label"):
            return bool(first) and first[0].label == truth.label
        return bool(first) and first[0].index == truth.label_index


def _emptied(database: Database) -> None:
    with database.begin() as connection:
        for table in METADATA.tables.values():
            connection.execute(table.delete())


def _cut(events: list[Event], numbers: random.Random) -> Iterator[list[Event]]:
    """Returns the events in batches of any size."""
    while events:
        size = numbers.randint(1, len(events))
        yield events[:size]
        events = events[size:]


def _check(database: Database, events: list[Event], numbers: random.Random) -> None:
    """Applies events in batches, and some of them again; then counts."""
    _emptied(database)
    expected = Expected()
    for event in events:
        expected.add(event)
    again: list[Event] = [each for each in events if not isinstance(each, pb.Exposure) and numbers.random() < 0.3]
    _store(database, *_cut(events + again, numbers))
    assert expected.facts() == _gathered(database)


_events = st.lists(_exposures | _predictions | _shadows | _feedback, max_size=60)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Opens a database that many examples use one after the other."""
    url = f"sqlite:///{tmp_path_factory.mktemp('facts') / 'x.db'}"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    database = open_database(url)
    yield database
    database.close()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_events, st.randoms(use_true_random=False))
def test_facts_are_what_plain_counting_finds(kept: Database, events: list[Event], numbers: random.Random) -> None:
    """Whatever happens, in whatever batches, and some of it twice."""
    _check(kept, events, numbers)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_events, st.randoms(use_true_random=False))
def test_the_order_of_answers_and_labels_does_not_matter(
    kept: Database, events: list[Event], numbers: random.Random
) -> None:
    """Each comes once, and each picture is another one of another key; else it matters whose label was first."""
    unique: dict[Any, Event] = {}
    for event in events:
        match event:
            case pb.PredictionRecord():
                event.key_hash, event.image_digest = event.prediction_id.rjust(16).encode(), b""
                unique.setdefault(event.prediction_id, event)
            case pb.ShadowRecord():
                unique.setdefault((event.prediction_id, event.experiment), event)
            case feedback_service_pb2.Feedback():
                unique.setdefault((event.prediction_id, event.source, event.time.seconds), event)
                event.feedback_id = f"{event.prediction_id} {event.source} {event.time.seconds}"
            case _:
                unique.setdefault((event.experiment, event.epoch, event.key_hash), event)
    once = list(unique.values())
    _emptied(kept)
    _store(kept, *_cut(once, numbers))
    before = _gathered(kept)
    numbers.shuffle(once)
    _check(kept, once, numbers)
    assert before == _gathered(kept)
