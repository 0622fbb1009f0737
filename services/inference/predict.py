"""Runs a batch: rows whose caller has left are skipped, the rest go to Triton, and every row gets its own outcome."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from servicekit.errors import DeadlineExceeded, Internal, Reason, TriptychError
from servicekit.manifest import Manifest
from servicekit.parcel import Piece
from services.inference.batch import Chunk, cut_for, finite_rows, keep_rows
from services.inference.catalog import Loaded
from services.inference.pool import TritonPool
from services.inference.statistics import Times
from services.inference.triton import Logits


@dataclass(frozen=True, slots=True)
class Prediction:
    """Is what became of a batch."""

    logits: list[Piece]
    """fp32 `[m, classes]` of the m rows without an error."""
    errors: list[TriptychError | None]
    """One per row."""
    queue_s: float
    compute_s: float


async def predict(
    pool: TritonPool,
    manifest: Manifest,
    version: str,
    loaded: Loaded,
    pieces: Sequence[Piece],
    time_left_s: Sequence[float],
) -> Prediction:
    """Runs `version` of a model on one row per entry of `time_left_s`; no row's trouble touches another's."""
    start = time.perf_counter()
    errors: list[TriptychError | None] = [
        None if left > 0 else DeadlineExceeded("The caller's time was up before the model could run.")
        for left in time_left_s
    ]
    wanted = [row for row, error in enumerate(errors) if error is None]
    chunks = cut_for(loaded.max_batch_size, pieces, len(errors), wanted) if wanted else []
    timeout_s = max((time_left_s[row] for row in wanted), default=0.0)
    answers = await asyncio.gather(*(_ask(pool, manifest, version, chunk, timeout_s) for chunk in chunks))
    outcome = _join(errors, wanted, chunks, answers)
    wall_s = time.perf_counter() - start
    slowest = max((a.times for a in answers if isinstance(a, Logits)), key=_total_s, default=Times(0.0, 0.0))
    compute_s = min(slowest.compute_s, wall_s)
    return Prediction(outcome, errors, min(slowest.queue_s, wall_s - compute_s), compute_s)


def _total_s(times: Times) -> float:
    return times.queue_s + times.compute_s


async def _ask(
    pool: TritonPool, manifest: Manifest, version: str, chunk: Chunk, timeout_s: float
) -> Logits | TriptychError:
    try:
        return await pool.infer(manifest, version, chunk.rows, chunk.pieces, timeout_s)
    except TriptychError as error:
        return error


def _join(
    errors: list[TriptychError | None],
    wanted: list[int],
    chunks: list[Chunk],
    answers: Sequence[Logits | TriptychError],
) -> list[Piece]:
    """Collects the logits that can be trusted, and writes down in `errors` what happened to the other rows."""
    parts: list[Piece] = []
    rows = iter(wanted)
    for chunk, answer in zip(chunks, answers, strict=True):
        if isinstance(answer, TriptychError):
            for _ in range(chunk.rows):
                errors[next(rows)] = answer
            continue
        kept = finite_rows(answer.data, chunk.rows)
        for good in kept:
            row = next(rows)
            if not good:
                errors[row] = Internal(
                    "The model answered with values that are not numbers.", reason=Reason.LOGITS_NOT_FINITE
                )
        parts.append(keep_rows(answer.data, kept))
    return parts
