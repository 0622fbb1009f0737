"""The result cache: what it answers is what computing again would answer, in bounded memory and for a bounded time."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from prometheus_client import REGISTRY

from gateway.result_cache import ResultCache, digest, make_key
from services.postprocess.ranking import rank
from triptych.classification.v1.classification_pb2 import Classification, Prediction, Timing

TTL_S = 10.0
KEYS = [make_key("model", "1", "recipe", digest(bytes([number]))) for number in range(6)]


@dataclass
class Clock:
    """Is a clock that stands still until told."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now_s


def _result(scores: list[float], label: str = "cat") -> Classification:
    predictions = [Prediction(index=index, label=label, score=score) for index, score in enumerate(scores)]
    return Classification(model="model", version="1", predictions=predictions)


ANSWER = _result([0.5, 0.25, 0.125])


def _computed(logits: list[float], top_k: int, min_score: float) -> Classification:
    """Returns what the postprocess service answers."""
    (ranked,) = rank(np.array([logits], np.float32), 1.0, [top_k], [min_score])
    predictions = [Prediction(index=item.index, label=str(item.index), score=item.score) for item in ranked]
    return Classification(model="model", version="1", predictions=predictions)


def _cache(max_bytes: int = 10**6, clock: Clock | None = None) -> ResultCache:
    return ResultCache(max_bytes, TTL_S, clock or Clock())


def _size(result: Classification) -> int:
    """Returns what one entry is accounted for."""
    cache = _cache()
    cache.put(KEYS[0], result, 3, 0.0)
    return cache.size_bytes


def _held(cache: ResultCache) -> list[bytes]:
    return [key for key in KEYS if cache.get(key, 1, 0.0)]


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"triptych_result_cache_{name}", labels) or 0.0


def test_an_answer_is_remembered_without_what_belongs_to_one_call() -> None:
    """Model, version and predictions come back; prediction id, times and experiment are of the call that made them."""
    cache = _cache()
    made = Classification(prediction_id="p", timing=Timing(total_ms=3), experiment="e", arm="a")
    made.MergeFrom(ANSWER)
    cache.put(KEYS[0], made, 3, 0.0)

    assert ANSWER == cache.get(KEYS[0], 3, 0.0)
    assert cache.get(KEYS[1], 3, 0.0) is None


def test_callers_cannot_spoil_what_is_remembered() -> None:
    """Every hit is a message of its own, and the one that was put in is not held either."""
    cache = _cache()
    made = _result([0.5])
    cache.put(KEYS[0], made, 1, 0.0)
    made.predictions[0].label = "dog"
    first = cache.get(KEYS[0], 1, 0.0)
    assert first is not None
    first.prediction_id = "p"
    del first.predictions[:]

    assert _result([0.5]) == cache.get(KEYS[0], 1, 0.0)


@given(
    logits=st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=8),
    asked=st.tuples(st.integers(1, 10), st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])),
    again=st.tuples(st.integers(1, 10), st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])),
)
def test_a_hit_is_what_computing_again_would_answer(
    logits: list[float], asked: tuple[int, float], again: tuple[int, float]
) -> None:
    """Whatever top_k and min_score were asked for first, a later hit is the service's own ranking, ties included."""
    cache = _cache()
    cache.put(KEYS[0], _computed(logits, *asked), *asked)

    hit = cache.get(KEYS[0], *again)
    if again[0] <= asked[0] and again[1] >= asked[1]:
        assert hit is not None
    if hit is not None:
        assert _computed(logits, *again) == hit


@pytest.mark.parametrize(
    ("scores", "asked", "again", "hit"),
    [
        ([0.5, 0.25, 0.125], (3, 0.0), (4, 0.0), False),
        ([0.5, 0.25, 0.125], (3, 0.0), (4, 0.125), False),  # a fourth may score exactly as much as the third
        ([0.5, 0.25, 0.125], (3, 0.0), (4, 0.126), True),
        ([0.5, 0.5], (3, 0.0), (1000, 0.0), True),  # there are but two classes
        ([0.5], (3, 0.3), (4, 0.3), True),
        ([0.5], (3, 0.3), (2, 0.2), False),
        ([], (3, 0.9), (3, 0.9), True),
        ([], (3, 0.9), (1, 0.0), False),
    ],
)
def test_what_is_not_known_for_certain_is_a_miss(
    scores: list[float], asked: tuple[int, float], again: tuple[int, float], hit: bool
) -> None:
    """A request for more than the entry is sure of is computed."""
    cache = _cache()
    cache.put(KEYS[0], _result(scores), *asked)

    assert hit is (cache.get(KEYS[0], *again) is not None)


def test_a_wider_answer_takes_the_place_of_a_narrower_one() -> None:
    """An image has one entry, the last."""
    cache = _cache()
    cache.put(KEYS[0], _result([0.5]), 1, 0.0)
    cache.put(KEYS[0], ANSWER, 3, 0.0)

    assert ANSWER == cache.get(KEYS[0], 3, 0.0)
    assert 1 == len(cache)
    assert _size(ANSWER) == cache.size_bytes


@pytest.mark.parametrize(
    ("scores", "asked"),
    [
        ([0.5], (1, 0.0)),
        ([0.5, 0.25], (2, 0.0)),
        ([0.5, 0.25], (5, 0.2)),
        ([0.5, 0.25, 0.125], (3, 0.0)),  # whether there is a fourth nobody knows
        ([], (5, 0.9)),
    ],
)
def test_a_narrower_answer_does_not_take_the_place_of_a_wider_one(
    scores: list[float], asked: tuple[int, float]
) -> None:
    """An answer to a smaller top_k or a larger min_score, computed at the same time and later done, loses nothing."""
    cache = _cache()
    cache.put(KEYS[0], ANSWER, 5, 0.0)
    cache.put(KEYS[0], _result(scores), *asked)

    assert ANSWER == cache.get(KEYS[0], 5, 0.0)


def test_a_narrower_answer_takes_the_place_of_one_that_is_too_old() -> None:
    """What is not served any more is in nobody's way."""
    clock = Clock()
    cache = _cache(clock=clock)
    cache.put(KEYS[0], ANSWER, 5, 0.0)
    clock.now_s += TTL_S
    cache.put(KEYS[0], _result([0.5]), 1, 0.0)

    assert _result([0.5]) == cache.get(KEYS[0], 1, 0.0)


@given(
    logits=st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=8),
    questions=st.lists(
        st.tuples(st.integers(1, 10), st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])), min_size=1, max_size=4
    ),
)
def test_what_was_answered_is_known(logits: list[float], questions: list[tuple[int, float]]) -> None:
    """Whatever else is answered in between: each answer, or one that serves its question as well, is still there."""
    cache = _cache()
    for asked in questions:
        cache.put(KEYS[0], _computed(logits, *asked), *asked)

    assert [_computed(logits, *asked) for asked in questions] == [cache.get(KEYS[0], *asked) for asked in questions]


def test_keys_differ_in_every_part() -> None:
    """Another model, version, recipe or image is another answer, wherever one name ends and the next begins."""
    parts = [("m", "1", "r", b"a"), ("m1", "1", "r", b"a"), ("m", "11", "r", b"a"), ("m", "1", "r1", b"a")]
    parts += [("m", "1", "1r", b"a"), ("m", "1", "r", b"b")]

    keys = {make_key(model, version, recipe, digest(content)) for model, version, recipe, content in parts}

    assert len(parts) == len(keys)


def test_an_answer_is_never_served_past_its_time() -> None:
    """Being asked for does not keep it young."""
    clock = Clock()
    cache = _cache(clock=clock)
    cache.put(KEYS[0], ANSWER, 3, 0.0)
    clock.now_s += TTL_S / 2
    assert [KEYS[0]] == _held(cache)
    clock.now_s += TTL_S / 2

    assert [] == _held(cache)


def test_the_old_make_room_before_the_unused() -> None:
    """Expired answers are dropped when the next comes, and counted apart from those that had to give way."""
    clock = Clock()
    cache = _cache(2 * _size(ANSWER), clock)
    cache.put(KEYS[0], ANSWER, 3, 0.0)
    clock.now_s += TTL_S - 1
    cache.put(KEYS[1], ANSWER, 3, 0.0)
    cache.get(KEYS[0], 3, 0.0)
    clock.now_s += 1
    expired, full = _metric("evictions_total", reason="expired"), _metric("evictions_total", reason="full")
    cache.put(KEYS[2], ANSWER, 3, 0.0)

    assert KEYS[1:3] == _held(cache)
    assert expired + 1 == _metric("evictions_total", reason="expired")
    assert full == _metric("evictions_total", reason="full")


def test_the_least_recently_used_gives_way() -> None:
    """Reading counts as use."""
    cache = _cache(3 * _size(ANSWER))
    for key in KEYS[:3]:
        cache.put(key, ANSWER, 3, 0.0)
    cache.get(KEYS[0], 3, 0.0)
    full = _metric("evictions_total", reason="full")
    cache.put(KEYS[3], ANSWER, 3, 0.0)

    assert [KEYS[0], KEYS[2], KEYS[3]] == _held(cache)
    assert full + 1 == _metric("evictions_total", reason="full")


def test_what_is_larger_than_the_cache_drives_nothing_out() -> None:
    """An answer that can never fit is left alone; so a cache of no bytes remembers nothing."""
    cache = _cache(_size(ANSWER))
    cache.put(KEYS[0], ANSWER, 3, 0.0)
    cache.put(KEYS[1], _result([0.5], label="c" * 1000), 1, 0.0)
    nothing = _cache(0)
    nothing.put(KEYS[0], ANSWER, 3, 0.0)

    assert [KEYS[0]] == _held(cache)
    assert 0 == len(nothing)


class History(RuleBasedStateMachine):
    """Holds the cache against a list of entries, the least recently used first."""

    @initialize(max_bytes=st.integers(0, 3000))
    def begin(self, max_bytes: int) -> None:
        """Starts with both empty."""
        self.clock = Clock()
        self.max_bytes = max_bytes
        self.cache = _cache(max_bytes, self.clock)
        self.known: list[tuple[bytes, float, Classification]] = []

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 4), label=st.sampled_from(["cat", "c" * 150]))
    def put(self, key: bytes, count: int, label: str) -> None:
        """Remembers an answer unless a longer one is known, which is used; forgets from the front what has no room."""
        result = _result([0.5 / (place + 1) for place in range(count)], label)
        self.cache.put(key, result, 5, 0.0)
        if _size(result) <= self.max_bytes:
            longer = [entry for entry in self._found(key) if len(entry[2].predictions) > count]
            self.known = [*self._others(key), *(longer or [(key, self.clock.now_s + TTL_S, result)])]
            while sum(_size(entry[2]) for entry in self.known) > self.max_bytes:
                del self.known[0]

    @rule(key=st.sampled_from(KEYS))
    def get(self, key: bytes) -> None:
        """Finds exactly what is known, and uses it."""
        found = self._found(key)
        assert (found[0][2] if found else None) == self.cache.get(key, 5, 0.0)
        self.known = [*self._others(key), *found]

    @rule(seconds=st.sampled_from([1.0, 4.0, TTL_S]))
    def wait(self, seconds: float) -> None:
        """Lets answers grow old."""
        self.clock.now_s += seconds

    @rule()
    def clear(self) -> None:
        """Forgets everything."""
        self.cache.clear()
        self.known = []

    @invariant()
    def bounded(self) -> None:
        """The bound holds at every moment."""
        assert self.cache.size_bytes <= self.max_bytes

    def _found(self, key: bytes) -> list[tuple[bytes, float, Classification]]:
        return [entry for entry in self.known if entry[0] == key and self.clock.now_s < entry[1]]

    def _others(self, key: bytes) -> list[tuple[bytes, float, Classification]]:
        return [entry for entry in self.known if entry[0] != key and self.clock.now_s < entry[1]]


TestHistory = History.TestCase
"""Any history of puts, gets and waiting goes as in the list: bound, age and order of use hold at every step."""


def test_the_metrics_tell_what_is_held_and_how_often_it_helped() -> None:
    """Bytes, bound, entries, hits and misses are exported; what an entry knows too little for is a miss."""
    hits, misses = _metric("lookups_total", outcome="hit"), _metric("lookups_total", outcome="miss")
    cache = _cache(12345)
    cache.put(KEYS[0], ANSWER, 3, 0.0)
    for key, top_k in ((KEYS[0], 3), (KEYS[0], 1), (KEYS[0], 4), (KEYS[1], 3)):
        cache.get(key, top_k, 0.0)

    assert (1, 12345) == (_metric("entries"), _metric("bytes_limit"))
    assert cache.size_bytes == _metric("bytes") > 0
    assert hits + 2 == _metric("lookups_total", outcome="hit")
    assert misses + 2 == _metric("lookups_total", outcome="miss")
    cache.clear()
    assert (0, 0) == (_metric("entries"), _metric("bytes"))


@pytest.mark.parametrize("entries", [100, 1000, 11_000])
def test_the_bound_is_of_real_memory(entries: int) -> None:
    """What Python allocates for the entries is at most what they are accounted for, and at least two thirds."""
    cache = _cache(10**9)
    digests = [digest(number.to_bytes(4)) for number in range(entries)]
    cache.put(KEYS[0], ANSWER, 3, 0.0)  # what the first use of a message allocates is not of the cache
    accounted = cache.size_bytes
    tracemalloc.start()
    try:
        for each in digests:
            cache.put(make_key("efficientnet_lite0", "1", "0123456789abcdef", each), ANSWER, 3, 0.0)
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 2 / 3 <= allocated / (cache.size_bytes - accounted) <= 1
