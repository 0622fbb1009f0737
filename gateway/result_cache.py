"""Answers that need no work: what the same bytes were answered before, by the same version with the same recipe.

One entry per image serves every `top_k` and `min_score` that it can serve exactly: a ranking has one order, so a
shorter or stricter one is the beginning of a longer one. A request for more than is known is a miss; its answer then
replaces what was known. An answer that says less never does: it may come later than a longer one that began with it.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from blake3 import blake3
from cachetools import TTLCache
from prometheus_client import Counter, Gauge

from triptych.classification.v1 import classification_pb2

_LOOKUPS = Counter("triptych_result_cache_lookups", "Images looked up in the result cache.", ("outcome",))
_EVICTIONS = Counter(
    "triptych_result_cache_evictions",
    "Answers dropped: too old, or the least recently used of a full cache.",
    ("reason",),
)
_BYTES = Gauge("triptych_result_cache_bytes", "Memory that the cached answers take.")
_BYTES_LIMIT = Gauge("triptych_result_cache_bytes_limit", "Memory that they may take.")
_ENTRIES = Gauge("triptych_result_cache_entries", "Cached answers.")
_HITS, _MISSES = _LOOKUPS.labels("hit"), _LOOKUPS.labels("miss")
_EXPIRED, _FULL = _EVICTIONS.labels("expired"), _EVICTIONS.labels("full")

ENTRY_BYTES = 480
"""What an entry takes beside its key and its message: a tuple, numbers, and its places in the library's tables."""

# (bytes accounted, predictions known, least min_score for which these are all there are, message). A plain tuple, and
# keys of bytes, because the garbage collector does not walk through those again and again.
_Entry = tuple[int, int, float, bytes]


def digest(content: bytes) -> bytes:
    """Returns 32 bytes that no two images share.

    BLAKE3, because nobody can make a collision and so plant an answer, and because it is fast on every CPU, not only on
    those with instructions for SHA-256. No key: 256 bits need no secret against collisions, and nobody sees a digest.
    """
    return blake3(content).digest()


def make_key(model: str, version: str, recipe: str, content_digest: bytes) -> bytes:
    """Returns the key of an image's answer.

    Args:
        model: its resolved name, never empty.
        version: the one that answers, never empty.
        recipe: identity of all else that decides the answer: how bytes become a tensor, the labels, the temperature.
        content_digest: of the encoded image, by `digest`.
    """
    return f"{model}\0{version}\0{recipe}\0".encode() + content_digest


class ResultCache:
    """Remembers answers for a while, within a bound of memory; the least recently used go first."""

    def __init__(self, max_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts empty.

        Args:
            max_bytes: bound of keys, answers and the tables that hold them.
            ttl_s: age at which an answer is forgotten, however often it is asked for.
            clock: monotonic seconds.
        """
        self._entries = _Entries(max_bytes, ttl_s, clock, lambda entry: entry[0])
        _BYTES_LIMIT.set(max_bytes)
        self._show()

    def __len__(self) -> int:
        """Returns the number of answers held, those included that are too old but not yet dropped."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Returns the memory accounted for, never above the bound."""
        return int(self._entries.currsize)

    def get(self, key: bytes, top_k: int, min_score: float) -> classification_pb2.Classification | None:
        """Returns a new message of `model`, `version` and `predictions`, as computing it again would, or None."""
        try:
            _, known, complete_from, message = self._entries[key]
        except KeyError:
            _MISSES.inc()
            return None
        if top_k > known and min_score < complete_from:
            _MISSES.inc()
            return None
        _HITS.inc()
        return _trimmed(message, top_k, min_score)

    def put(self, key: bytes, result: classification_pb2.Classification, top_k: int, min_score: float) -> None:
        """Remembers an answer, in place of what was known under its key, unless that says more.

        Does nothing with an answer that is larger than the whole cache.

        Args:
            key: names the version that answered, which may be another than the one looked up.
            result: a success; of it `model`, `version` and `predictions` are kept.
            top_k: what was asked for.
            min_score: what was asked for.
        """
        message = classification_pb2.Classification(
            model=result.model, version=result.version, predictions=result.predictions
        ).SerializeToString()
        size = ENTRY_BYTES + sys.getsizeof(key) + sys.getsizeof(message)
        if size > self._entries.maxsize:
            return
        known = len(result.predictions)
        # Fewer than asked for: the others are below `min_score`. As many: no other is above the last.
        complete_from = min_score if known < top_k else math.nextafter(result.predictions[-1].score, math.inf)
        entry = (size, known, complete_from, message)
        if not _says_more(self._entries.get(key, entry), entry):
            self._entries[key] = entry
        self._show()

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._show()

    def _show(self) -> None:
        _BYTES.set(self._entries.currsize)
        _ENTRIES.set(len(self._entries))


class _Entries(TTLCache[bytes, _Entry, float]):
    """Counts what it drops."""

    def expire(self, time: float | None = None) -> list[tuple[bytes, _Entry]]:
        expired = super().expire(time)
        if expired:
            _EXPIRED.inc(len(expired))
        return expired

    def popitem(self) -> tuple[bytes, Any]:
        item = super().popitem()
        _FULL.inc()
        return item


def _says_more(one: _Entry, other: _Entry) -> bool:
    """Says whether an entry serves requests that another of the same image does not; then it serves all of that's."""
    return (one[1], -one[2]) > (other[1], -other[2])


def _trimmed(message: bytes, top_k: int, min_score: float) -> classification_pb2.Classification:
    result = classification_pb2.Classification.FromString(message)
    keep = min(top_k, len(result.predictions))
    while keep and result.predictions[keep - 1].score < min_score:
        keep -= 1
    del result.predictions[keep:]
    return result
