"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from triptych.classification.v1.classification_service_pb2 import (
    GetModelRequest,
    ListModelsRequest,
)
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub
from triptych.client.calls import PAGE_SIZE, SERVICE, Asker, Attempts, asker, closed_error, open_channel
from triptych.client.feedback import Feedback, FeedbackSource, feedback_requests
from triptych.client.requests import FrameSource, ImageSource, Query, gateway_address, read_image, split
from triptych.client.results import Classification, Frame, Model
from triptych.client.retry import Retry
from triptych.client.tls import Tls, credentials
from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub

if TYPE_CHECKING:  # it exists for type checkers only
    from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceAsyncStub
    from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceAsyncStub

Q = TypeVar("Q")
A = TypeVar("A")


class AsyncClient:
    """Does what `Client` does, for asyncio. Use it in one event loop."""

    def __init__(self, target: str = "localhost:8081", *, tls: Tls | None = None) -> None:
        """Prepares a client for a gateway. Connects on the first call.

        Args:
            target: `host`, `host:port` or any gRPC name; `https://host:port` is reached over TLS (without a port, 443).
            tls: whom to trust and who this client is; whatever the target looks like, it is reached over TLS then.

        Raises:
            OSError: a file of `tls` cannot be read.
            ValueError: `target` is no such thing.
        """
        self._target = gateway_address(target)
        self._credentials = credentials(self._target, tls)
        self._retry = Retry()
        self._closed = False

    async def classify(  # noqa: PLR0913 (what callers may say)
        self,
        image: ImageSource,
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float = 10.0,
        request_id: str | None = None,
        route_key: str = "",
        tenant: str = "",
    ) -> Classification:
        """Says what one image shows; arguments and errors are those of `Client.classify`."""
        query, who = Query(model, version, top_k, min_score), asker(request_id, route_key, tenant)
        content = await asyncio.to_thread(read_image, image)
        return (await self._classify([content], query, timeout_s, who))[0]

    async def classify_many(  # noqa: PLR0913 (what callers may say)
        self,
        images: Iterable[ImageSource],
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float = 10.0,
        request_id: str | None = None,
        route_key: str = "",
        tenant: str = "",
    ) -> list[Classification]:
        """Says what each image shows; arguments and errors are those of `Client.classify_many`."""
        query, who = Query(model, version, top_k, min_score), asker(request_id, route_key, tenant)
        contents = [await asyncio.to_thread(read_image, image) for image in images]
        return [result for run in split(contents) for result in await self._classify(run, query, timeout_s, who)]

    async def classify_stream(  # noqa: PLR0913 (what callers may say)
        self,
        frames: AsyncIterable[ImageSource] | Iterable[ImageSource],
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        route_key: str = "",
        tenant: str = "",
    ) -> AsyncIterator[Frame]:
        """Classifies a video while it comes. The gateway drops frames that would be late in favour of newer ones.

        A frame at fault is answered with its error and the stream goes on. A stream that breaks is not tried again.
        What `frames` raises is raised here, after the answers to what it gave; plain iterables are read in threads.

        Raises:
            ClassifyError: the stream as a whole failed.
            OSError: a file cannot be read.
            TypeError: a frame is no image.
        """
        self._require_open()
        source = FrameSource(frames, Query(model, version, top_k, min_score))
        attempts = Attempts(self._retry, self._target, timeout_s, asker(request_id, route_key, tenant))
        call = self._stub.ClassifyStream(source.aio(), timeout=attempts.remaining_s, metadata=attempts.metadata)
        try:
            async for response in call:
                yield Frame.from_proto(response)
        except grpc.aio.AioRpcError as failure:
            raise source.error or attempts.error(failure) from None
        finally:
            call.cancel()  # the caller may have had enough
        if source.error is not None:
            raise source.error

    async def models(self, *, timeout_s: float = 10.0) -> list[Model]:
        """Returns the models that can be named in a call; errors are those of `Client.models`."""
        found: list[Model] = []
        request = ListModelsRequest(page_size=PAGE_SIZE)
        while True:
            page = await self._call(self._stub.ListModels, request, timeout_s)
            found += map(Model.from_proto, page.models)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def model(self, name: str, *, timeout_s: float = 10.0) -> Model:
        """Returns one model; errors are those of `Client.model`."""
        return Model.from_proto((await self._call(self._stub.GetModel, GetModelRequest(model=name), timeout_s)).model)

    async def feedback(
        self,
        prediction_id: str,
        *,
        label: str | None = None,
        label_index: int | None = None,
        source: FeedbackSource = "user",
        feedback_id: str = "",
        time: datetime | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """Says what was right about an answer; arguments and errors are those of `Client.feedback`."""
        given = Feedback(prediction_id, label, label_index, source, feedback_id, time)
        await self.feedback_many([given], timeout_s=timeout_s)

    async def feedback_many(self, feedback: Iterable[Feedback], *, timeout_s: float = 10.0) -> int:
        """Says what was right about many answers; arguments and errors are those of `Client.feedback_many`."""
        accepted = 0
        for request in feedback_requests(feedback):
            accepted += (await self._call(self._feedback.SubmitFeedback, request, timeout_s)).accepted_count
        return accepted

    async def ready(self, *, timeout_s: float = 1.0) -> bool:
        """Says whether the gateway and everything behind it takes requests."""
        from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 (few callers ask)

        self._require_open()
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            reply = await health_pb2_grpc.HealthStub(self._channel).Check(request, timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Ends the connections; calls after this raise RuntimeError."""
        self._closed = True
        if "_channel" in self.__dict__:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._target!r})"

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        # Not in the constructor: a channel belongs to the event loop that runs when it is made.
        channel: grpc.aio.Channel = open_channel(grpc.aio, self._target, self._credentials)
        return channel

    @cached_property
    def _stub(self) -> "ClassificationServiceAsyncStub":
        self._require_open()  # to make a stub on a closed channel crashes the interpreter (grpcio 1.85)
        return ClassificationServiceStub(self._channel)

    @cached_property
    def _feedback(self) -> "FeedbackServiceAsyncStub":
        self._require_open()  # the same
        return FeedbackServiceStub(self._channel)

    def _require_open(self) -> None:
        if self._closed:
            raise closed_error()

    async def _classify(
        self, images: Sequence[bytes], query: Query, timeout_s: float, who: Asker
    ) -> list[Classification]:
        response = await self._call(self._stub.Classify, query.request(images), timeout_s, who)
        return [Classification.from_proto(result) for result in response.results]

    async def _call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Q, A]",
        request: Q,
        timeout_s: float,
        who: Asker | None = None,
    ) -> A:
        self._require_open()
        attempts = Attempts(self._retry, self._target, timeout_s, who or Asker())
        while True:
            try:
                return await method(request, timeout=attempts.remaining_s, metadata=attempts.metadata)
            except grpc.aio.AioRpcError as failure:
                await asyncio.sleep(attempts.pause_s(failure))
