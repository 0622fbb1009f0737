"""The client for ordinary code."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import grpc

from triptych.classification.v1.classification_service_pb2 import GetModelRequest, ListModelsRequest
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub
from triptych.client.calls import PAGE_SIZE, SERVICE, Asker, asker
from triptych.client.feedback import Feedback, FeedbackSource, feedback_requests
from triptych.client.line import Line
from triptych.client.requests import FrameSource, ImageSource, Query, read_image, split
from triptych.client.results import Classification, Frame, Model
from triptych.client.tls import Tls
from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub


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
        self._line = Line(target, tls)
        self._stub = ClassificationServiceStub(self._line.channel)
        self._feedback = FeedbackServiceStub(self._line.channel)

    def classify(  # noqa: PLR0913 (what callers may say)
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
        """Says what one image shows.

        Args:
            image: encoded bytes, the path of a file, or a file opened for reading bytes.
            model: name of the model; empty asks the gateway's default.
            version: version of the model; empty asks the default one.
            top_k: most predictions; None leaves it to the gateway (5).
            min_score: least score of a prediction.
            timeout_s: how long the whole call may take, a second attempt included.
            request_id: id of the call in the server's logs; made up when there is none.
            route_key: what stays the same for whoever asks, such as a user's id: experiments answer one key by one arm.
            tenant: whose request it is; without a route key it is the key.

        Raises:
            ClassifyError: the call failed.
            OSError: the file cannot be read.
            RuntimeError: the client is closed; so does every other call.
            ValueError: `request_id`, `route_key` or `tenant` cannot be sent.
        """
        query = Query(model, version, top_k, min_score)
        return self._classify([read_image(image)], query, timeout_s, asker(request_id, route_key, tenant))[0]

    def classify_many(  # noqa: PLR0913 (what callers may say)
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
        """Says what each image shows, in their order; any number, sent in as few calls as the gateway allows.

        Arguments and errors are those of `classify`; `timeout_s` is for each call. The field of an error counts from
        the first image of its call.
        """
        query = Query(model, version, top_k, min_score)
        runs = split([read_image(image) for image in images])
        who = asker(request_id, route_key, tenant)
        return [result for run in runs for result in self._classify(run, query, timeout_s, who)]

    def classify_stream(  # noqa: PLR0913 (what callers may say)
        self,
        frames: Iterable[ImageSource],
        *,
        model: str = "",
        version: str = "",
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        route_key: str = "",
        tenant: str = "",
    ) -> Iterator[Frame]:
        """Classifies a video while it comes. The gateway drops frames that would be late in favour of newer ones.

        A frame at fault is answered with its error and the stream goes on. A stream that breaks is not tried again.
        `frames` is read in a thread of its own; what it raises is raised here after the answers to what it gave.

        Raises:
            ClassifyError: the stream as a whole failed.
            OSError: a file cannot be read.
            TypeError: a frame is no image.
        """
        attempts = self._line.attempts(timeout_s, asker(request_id, route_key, tenant))
        source = FrameSource(frames, Query(model, version, top_k, min_score))
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
            page = self._line.call(self._stub.ListModels, request, timeout_s)
            found += map(Model.from_proto, page.models)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def model(self, name: str, *, timeout_s: float = 10.0) -> Model:
        """Returns one model.

        Raises:
            ClassifyError: the call failed, with code `NOT_FOUND` when there is no such model.
        """
        return Model.from_proto(self._line.call(self._stub.GetModel, GetModelRequest(model=name), timeout_s).model)

    def feedback(
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
        """Says what was right about an answer. Once this returns it is kept, and counted once however often it is sent.

        Args:
            prediction_id: `Classification.prediction_id` of the answer.
            label: name of the right class; or
            label_index: its index in the model's labels.
            source: who says so.
            feedback_id: names this feedback; the same id again of this prediction is a repeat, whatever it says.
            time: when it was said, with a time zone; None means now.
            timeout_s: how long the call may take, a second attempt included.

        Raises:
            ClassifyError: the call failed; to call again is safe.
            ValueError: there is not exactly one of `label` and `label_index`, or another argument is wrong.
        """
        given = Feedback(prediction_id, label, label_index, source, feedback_id, time)
        self.feedback_many([given], timeout_s=timeout_s)

    def feedback_many(self, feedback: Iterable[Feedback], *, timeout_s: float = 10.0) -> int:
        """Says what was right about many answers, in calls of up to 1,000; returns how many were taken.

        Errors are those of `feedback`; `timeout_s` is for each call. A call is taken whole or not at all, and those
        before one that failed are kept: to send everything again is safe.
        """
        requests = feedback_requests(feedback)
        return sum(self._line.call(self._feedback.SubmitFeedback, each, timeout_s).accepted_count for each in requests)

    def ready(self, *, timeout_s: float = 1.0) -> bool:
        """Says whether the gateway and everything behind it takes requests."""
        from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 (few callers ask)

        self._line.require_open()
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            reply = health_pb2_grpc.HealthStub(self._line.channel).Check(request, timeout=timeout_s)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Ends the connections; calls after this raise RuntimeError."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._line.target!r})"

    def _classify(self, images: Sequence[bytes], query: Query, timeout_s: float, who: Asker) -> list[Classification]:
        response = self._line.call(self._stub.Classify, query.request(images), timeout_s, who)
        return [Classification.from_proto(result) for result in response.results]
