"""The client for ordinary code."""

import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc

from triptych.classification.v1.classification_service_pb2 import GetModelRequest, ListModelsRequest
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub
from triptych.client.calls import PAGE_SIZE, SERVICE, Attempts, closed_error, open_channel
from triptych.client.requests import FrameSource, ImageSource, Query, gateway_address, read_image, split
from triptych.client.results import Classification, Frame, Model
from triptych.client.retry import Retry
from triptych.client.tls import Tls, credentials

Q = TypeVar("Q")
A = TypeVar("A")


class Client:
    """Classifies images over gRPC. Safe to share between threads; keeps one connection per gateway replica.

    A call that meets an absent server, or one that sheds load and says when to come back, is tried once more, as long
    as few calls need that and the deadline allows it.
    """

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
        self._channel: grpc.Channel = open_channel(grpc, self._target, credentials(self._target, tls))
        self._closed = False
        self._stub = ClassificationServiceStub(self._channel)
        self._retry = Retry()

    def classify(
        self,
        image: ImageSource,
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float = 10.0,
        request_id: str | None = None,
    ) -> Classification:
        """Says what one image shows.

        Args:
            image: encoded bytes, the path of a file, or a file opened for reading bytes.
            model: name of the model; empty asks the gateway's default.
            version: version of the model; empty asks the default one.
            top_k: most predictions; None leaves it to the gateway (5).
            min_score: least score of a prediction.
            timeout_s: how long the whole call may take, a second attempt included.
            request_id: id of the call in the server's logs; made up when there is none.

        Raises:
            ClassifyError: the call failed.
            OSError: the file cannot be read.
            RuntimeError: the client is closed; so does every other call.
        """
        query = Query(model, version, top_k, min_score)
        return self._classify([read_image(image)], query, timeout_s, request_id)[0]

    def classify_many(
        self,
        images: Iterable[ImageSource],
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float = 10.0,
        request_id: str | None = None,
    ) -> list[Classification]:
        """Says what each image shows, in their order; any number, sent in as few calls as the gateway allows.

        Arguments and errors are those of `classify`; `timeout_s` is for each call. The field of an error counts from
        the first image of its call.
        """
        query = Query(model, version, top_k, min_score)
        runs = split([read_image(image) for image in images])
        return [result for run in runs for result in self._classify(run, query, timeout_s, request_id)]

    def classify_stream(
        self,
        frames: Iterable[ImageSource],
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
    ) -> Iterator[Frame]:
        """Classifies a video while it comes. The gateway drops frames that would be late in favour of newer ones.

        A frame at fault is answered with its error and the stream goes on. A stream that breaks is not tried again.
        `frames` is read in a thread of its own; what it raises is raised here after the answers to what it gave.

        Raises:
            ClassifyError: the stream as a whole failed.
            OSError: a file cannot be read.
            TypeError: a frame is no image.
        """
        self._require_open()
        source = FrameSource(frames, Query(model, version, top_k, min_score))
        attempts = Attempts(self._retry, self._target, timeout_s, request_id)
        call = self._stub.ClassifyStream(source.sync(), timeout=attempts.remaining_s, metadata=attempts.metadata)
        try:
            for response in call:
                yield Frame.from_proto(response)
        except grpc.RpcError as failure:
            raise source.error or attempts.error(failure) from None
        finally:
            call.cancel()  # the caller may have had enough
        if source.error is not None:
            raise source.error

    def models(self, *, timeout_s: float = 10.0) -> list[Model]:
        """Returns the models that can be named in a call, sorted by name.

        Raises:
            ClassifyError: the call failed.
        """
        found: list[Model] = []
        request = ListModelsRequest(page_size=PAGE_SIZE)
        while True:
            page = self._call(self._stub.ListModels, request, timeout_s)
            found += map(Model.from_proto, page.models)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def model(self, name: str, *, timeout_s: float = 10.0) -> Model:
        """Returns one model.

        Raises:
            ClassifyError: the call failed, with code `NOT_FOUND` when there is no such model.
        """
        return Model.from_proto(self._call(self._stub.GetModel, GetModelRequest(model=name), timeout_s).model)

    def ready(self, *, timeout_s: float = 1.0) -> bool:
        """Says whether the gateway and everything behind it takes requests."""
        from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 (few callers ask)

        self._require_open()
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            reply = health_pb2_grpc.HealthStub(self._channel).Check(request, timeout=timeout_s)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Ends the connections; calls after this raise RuntimeError."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._target!r})"

    def _require_open(self) -> None:
        if self._closed:
            raise closed_error()

    def _classify(
        self, images: Sequence[bytes], query: Query, timeout_s: float, request_id: str | None
    ) -> list[Classification]:
        response = self._call(self._stub.Classify, query.request(images), timeout_s, request_id)
        return [Classification.from_proto(result) for result in response.results]

    def _call(
        self, method: "grpc.UnaryUnaryMultiCallable[Q, A]", request: Q, timeout_s: float, request_id: str | None = None
    ) -> A:
        self._require_open()
        attempts = Attempts(self._retry, self._target, timeout_s, request_id)
        while True:
            try:
                return method(request, timeout=attempts.remaining_s, metadata=attempts.metadata)
            except grpc.RpcError as failure:
                time.sleep(attempts.pause_s(failure))
