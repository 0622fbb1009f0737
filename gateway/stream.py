"""Video: while a frame is in work only the newest of the waiting ones is kept, so that answers never lag behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractContextManager, nullcontext

from gateway.classifier import Classifier, Results
from gateway.requests import Call, check_frame
from servicekit import context, tracing
from servicekit.errors import DeadlineExceeded, Reason, TriptychError, Unavailable
from servicekit.server import background
from servicekit.spans import Span
from servicekit.tracing import Tracer, ending
from triptych.classification.v1 import classification_service_pb2 as pb

FRAME = "triptych.classification.v1.ClassificationService/ClassifyStream frame"
"""What traces call the work on a frame."""


class NewestFrame:
    """Holds at most one frame; a newer one takes its place."""

    def __init__(self) -> None:
        self._frame: pb.ClassifyStreamRequest | None = None
        self._ended = False
        self._fault: TriptychError | None = None
        self._changed = asyncio.Event()
        self.dropped = 0
        """Frames displaced since `take` was last called."""

    async def fill(self, frames: AsyncIterator[pb.ClassifyStreamRequest]) -> None:
        """Puts in every frame as it comes, until the caller has no more."""
        try:
            async for frame in frames:
                if self._ended:
                    return
                self.dropped += self._frame is not None
                self._frame = frame
                self._changed.set()
        except TriptychError as error:  # bytes that are no frame
            self.end(error)
        finally:
            self.end(self._fault)

    def end(self, fault: TriptychError | None) -> None:
        """Takes no more frames; `take` raises `fault`, if any, once the waiting frame has been taken."""
        self._ended = True
        self._fault = fault
        self._changed.set()

    async def end_when(self, draining: asyncio.Event) -> None:
        """Sends the caller elsewhere when this process ends: a video may last for hours."""
        await draining.wait()
        message = "This replica is shutting down; open the stream again."
        self.end(Unavailable(message, reason=Reason.SHUTTING_DOWN, retry_after_s=0.0))

    async def take(self) -> tuple[pb.ClassifyStreamRequest, int] | None:
        """Waits for a frame and returns it with the number dropped before it; None when there will be none.

        Raises:
            InvalidArgument: the caller sent bytes that are no frame; frames before them are still returned.
            Unavailable: this process is shutting down.
        """
        while self._frame is None and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if self._frame is None and self._fault is not None:
            raise self._fault
        frame, dropped = self._frame, self.dropped
        self._frame, self.dropped = None, 0
        return None if frame is None else (frame, dropped)


async def answer_newest(
    frames: AsyncIterator[pb.ClassifyStreamRequest],
    classifier: Classifier,
    timeout_s: float,
    draining: asyncio.Event,
    tracer: Tracer | None = None,
) -> AsyncIterator[pb.ClassifyStreamResponse]:
    """Yields one response per frame that was not dropped; a frame at fault gets its error, and the stream goes on.

    A stream may last for hours, so what is traced is each frame: all of them when the stream's caller wants it, or as
    many as of other requests.
    """
    asked = context.current()
    slot = NewestFrame()
    async with background(slot.fill(frames), slot.end_when(draining)):
        while (taken := await slot.take()) is not None:
            frame, dropped = taken
            with _traced(tracer, asked):
                response = await _answer(frame, classifier, timeout_s)
            response.dropped_count = dropped
            yield response


def _traced(tracer: Tracer | None, asked: context.RequestContext | None) -> AbstractContextManager[Span | None]:
    if tracer is None or asked is None:
        return nullcontext()
    each = tracer.begin(asked.another(), FRAME)
    context.enter(each)
    return nullcontext() if each.span is None else ending(each.span)


async def _answer(
    frame: pb.ClassifyStreamRequest, classifier: Classifier, timeout_s: float
) -> pb.ClassifyStreamResponse:
    async def parse() -> Call:
        return check_frame(frame, classifier.limits)

    context.set_deadline(timeout_s)
    try:
        (result,) = await _within(timeout_s, classifier.classify("grpc_stream", parse))
    except TriptychError as error:
        tracing.failed(error)
        field = error.field.replace("images[0].", "image.", 1)
        fault = pb.FrameError(code=error.code, reason=error.reason, message=error.message, field=field)
        return pb.ClassifyStreamResponse(frame=frame.frame, error=fault)
    return pb.ClassifyStreamResponse(frame=frame.frame, classification=result)


async def _within(timeout_s: float, work: Awaitable[Results]) -> Results:
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        raise DeadlineExceeded(f"The frame was not answered within {timeout_s:.3g} s.") from None
