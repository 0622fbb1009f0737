"""Measures settings for real: clusters of its own, loaded by concurrent callers.

The two clusters that were measured last are kept, idle, so that comparing their settings costs no start.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from PIL import Image

from localcluster import control
from localcluster.options import UpOptions
from localcluster.state import StateDirectory
from localcluster.tuning import Measured, MeasureError, Settings
from triptych.client.aio import AsyncClient
from triptych.client.errors import ClassifyError

PHOTOGRAPH = Path(__file__).parents[1] / "examples" / "chelsea.png"
SIDE_PX = 512
KEPT = 2
FIRST_SKIP_S = 1.0
"""A cluster that has just started is loaded for this long before it is measured."""
SKIP_S = 0.2
"""And this long each time after, until all callers are at work."""
VARIABLES = {
    "TRIPTYCH_RESULT_CACHE_BYTES": "0",  # equal images are computed, each
    "TRIPTYCH_REQUEST_LOG": "false",
}


@dataclass(frozen=True, slots=True)
class Load:
    """Says what a cluster is measured with."""

    image: bytes
    """An encoded image."""
    callers: int
    """Each waits for an answer before it asks again."""
    seconds: float
    """How long a measurement takes."""


class Trials:
    """Measures settings; the clusters end with the context. Use it in the main thread: they die with it."""

    def __init__(self, options: UpOptions, load: Load) -> None:
        """Prepares; starts nothing yet.

        Args:
            options: of every cluster; the folder for their state is empty.
            load: what they get.
        """
        self._options = options
        self._load = load
        self._started = 0
        self._kept: OrderedDict[frozenset[tuple[str, int]], Path] = OrderedDict()
        """State directories, the one used last at the end."""

    def measure(self, settings: Settings) -> Measured:
        """Measures settings, on a cluster that is started for them unless it is one of the last two.

        Raises:
            UpError: the cluster does not come up.
            MeasureError: it has ended, refuses the image, or answers too late or nothing.
        """
        key = frozenset(settings.items())
        skip_s = SKIP_S
        if key not in self._kept:
            self._start(key)
            skip_s = FIRST_SKIP_S
        self._kept.move_to_end(key)
        cluster = StateDirectory(self._kept[key]).running()
        if cluster is None:
            raise MeasureError("The cluster that was to be measured has ended.")
        try:
            return asyncio.run(_measure(cluster.grpc, self._load, skip_s))
        except ClassifyError as error:
            words = " ".join(f"{variable}={value}" for variable, value in settings.items()) or "the defaults"
            raise MeasureError(f"With {words}: {error}") from error

    def _start(self, key: frozenset[tuple[str, int]]) -> None:
        if len(self._kept) == KEPT:
            control.end(self._kept.popitem(last=False)[1])
        self._started += 1
        state_dir = self._kept[key] = self._options.state_dir / str(self._started)
        tuned = {variable: str(value) for variable, value in key}
        options = replace(self._options, state_dir=state_dir, tuned=tuned)
        supervisor = control.attach(options, VARIABLES)
        control.follow(state_dir, supervisor, lambda _status: None, options.timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for state_dir in self._kept.values():
            control.end(state_dir)


async def _measure(address: str, load: Load, skip_s: float) -> Measured:
    """Lets the callers work and counts what is answered after the first `skip_s` seconds."""
    begin = time.perf_counter() + skip_s
    end = begin + load.seconds
    took_s: list[float] = []

    async def call(client: AsyncClient) -> None:
        while (sent := time.perf_counter()) < end:
            await client.classify(load.image)
            answered = time.perf_counter()
            if begin <= answered < end:
                took_s.append(answered - sent)

    async with AsyncClient(address) as client:
        await asyncio.gather(*(call(client) for _ in range(load.callers)))
    if not took_s:
        raise MeasureError(f"The cluster answered nothing within {load.seconds:g} s: give it more --seconds.")
    return Measured(len(took_s) / load.seconds, 1000 * median(took_s))


def photograph() -> bytes:
    """Returns a photograph as a JPEG of 512 x 512 pixels."""
    with Image.open(PHOTOGRAPH) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        square = image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box)
    encoded = BytesIO()
    square.save(encoded, "JPEG", quality=94)
    return encoded.getvalue()
