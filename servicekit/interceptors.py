"""The layers about every handler.

The outermost first: context, log, metrics, errors, deadline, malformed, messages, parcels.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from typing import Any, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from servicekit import context as request_context
from servicekit import tracing
from servicekit.around import Around, Context, Handle, Layers, Rpc, kind_of
from servicekit.errors import Code, DeadlineExceeded, Internal, InvalidArgument, Reason, TriptychError, Unavailable
from servicekit.metrics import MethodMetrics, RpcMetrics, method_labels
from servicekit.parcel import method_codecs
from servicekit.settings import ProcessSettings
from servicekit.spans import Span
from servicekit.status import abort
from servicekit.tracing import RPC_CODE, Tracer, rpc_attributes

log = structlog.get_logger()

UNEXPECTED = "Something went wrong inside Triptych; the log has the details under this request id."


class ContextInterceptor(Around):
    """Takes over the caller's request id and trace, and, at the edge, tells the request id back.

    A request that is traced gets a span, which lasts until everything about it is over.
    """

    def __init__(self, *, echo: bool, tracer: Tracer | None, quiet: Collection[str]) -> None:
        self._echo = echo
        self._tracer = tracer
        self._quiet = quiet

    async def around(self, rpc: Rpc, context: Context, handle: Handle) -> Any:
        """Enters the request's context for logs and for the calls made on its behalf."""
        metadata = request_context.headers(context.invocation_metadata() or ())
        asked = request_context.accept(
            _text(metadata, request_context.REQUEST_ID),
            _text(metadata, request_context.TRACEPARENT),
            several=not self._echo,
            headers=metadata if self._echo else None,
        )
        # A stream is no step: it lasts as long as its caller likes. What it does for each message may be one.
        if self._tracer is not None and not rpc.streaming and rpc.method not in self._quiet:
            asked = self._tracer.begin(asked, rpc.method[1:])
        request_context.enter(asked)
        if self._echo:
            told = ((request_context.REQUEST_ID, asked.request_id),)
            if rpc.streaming:
                await context.send_initial_metadata(told)
            else:
                # With the answer's own end. Ahead of it, they would cost a message of their own, and once headers were
                # sent, the client's gRPC retries no more, whatever comes after them (gRFC A6).
                context.set_trailing_metadata(told)
        if asked.span is None:
            return await handle()
        return await _traced(asked.span, rpc, context, handle)


async def _traced(span: Span, rpc: Rpc, context: Context, handle: Handle) -> Any:
    span.attributes |= rpc_attributes(rpc.method, context)
    try:
        return await handle()
    finally:
        code = _code(context)
        span.attributes[RPC_CODE] = code
        if code != "OK":
            span.end_with(Code[code], code)
        span.end()


def _text(metadata: dict[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    return value if isinstance(value, str) else None


class LogInterceptor(Around):
    """Writes one line per RPC that failed, and, where wanted, per RPC that did not; `quiet` methods are probes."""

    def __init__(self, *, every: bool, quiet: Collection[str]) -> None:
        self._every = every
        self._quiet = quiet

    async def around(self, rpc: Rpc, context: Context, handle: Handle) -> Any:
        """Logs method, code and time after the RPC ended."""
        start = time.perf_counter()
        try:
            return await handle()
        finally:
            code = _code(context)
            if code != "OK" or (self._every and rpc.method not in self._quiet):
                write = log.warning if code in ("INTERNAL", "UNKNOWN") else log.info
                write("rpc", method=rpc.method, code=code, ms=round((time.perf_counter() - start) * 1e3, 3))


class MetricsInterceptor(Around):
    """Counts and times every RPC under the code it really ended with."""

    def __init__(self, metrics: RpcMetrics) -> None:
        self._metrics = metrics
        self._methods: dict[Rpc, MethodMetrics] = {}

    def wrap(self, method: str, handler: Any) -> Any:
        """Looks the method's labels up, once."""
        kind = kind_of(handler)
        self._methods[Rpc(method, kind)] = self._metrics.method(method_labels(method, kind))
        return super().wrap(method, handler)

    async def around(self, rpc: Rpc, context: Context, handle: Handle) -> Any:
        """Measures after the await, in a `finally`."""
        metrics = self._methods[rpc]
        metrics.begin(cast("float | None", context.time_remaining()))  # None without a deadline, whatever the stub says
        start = time.perf_counter()
        try:
            return await handle()
        finally:
            metrics.end(_code(context), time.perf_counter() - start)


def _caller_left() -> bool:
    """Says whether the RPC itself was cancelled, by its caller or a server at the end of its drain.

    `context.cancelled()` does not know yet while the handler unwinds; a task that the handler awaited leaves this at 0.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _code(context: Context) -> str:
    if _caller_left():
        return "CANCELLED"
    code: Any = context.code()
    number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code or 0)
    return Code(number).name if number else "OK"


class ErrorInterceptor(Around):
    """Is the single place where exceptions become status codes; what is not ours becomes INTERNAL and tells nothing."""

    async def around(self, rpc: Rpc, context: Context, handle: Handle) -> Any:
        """Maps whatever the handler raises."""
        try:
            return await handle()
        except TriptychError as error:
            tracing.failed(error)
            await abort(context, error)
        except (grpc.aio.AbortError, grpc.aio.UsageError):
            raise
        except asyncio.CancelledError:
            if _caller_left():
                raise
            # Not the caller's doing: a task that the handler awaited was cancelled. Letting this escape would leave the
            # caller hanging (grpc/grpc#29248).
            message = "The service stopped before the answer was ready."
            await abort(context, Unavailable(message, reason=Reason.SHUTTING_DOWN, retry_after_s=1.0))
        except Exception as error:
            log.exception("unexpected error", method=rpc.method)
            tracing.failed(error)
            await abort(
                context,
                Internal(UNEXPECTED),
            )


class MalformedInterceptor(Around):
    """Answers bytes that are no message with INVALID_ARGUMENT; gRPC would call that INTERNAL and tell nothing."""

    def _deserializer(self, inner: Any) -> Any:
        def deserialize(data: bytes) -> Any:
            try:
                return inner(data)
            except DecodeError:
                return None

        return deserialize

    def _unary(self, rpc: Rpc, inner: Any) -> Any:
        async def call(request: Any, context: Context) -> Any:
            if request is None:
                raise _malformed(rpc)
            return await inner(request, context)

        return call

    def _answers(self, rpc: Rpc, inner: Any) -> Any:
        def call(request: Any, context: Context) -> Any:
            if request is None:
                raise _malformed(rpc)
            return inner(request, context)

        return call

    def _stream(self, rpc: Rpc, inner: Any) -> Any:
        async def checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for request in requests:
                if request is None:
                    raise _malformed(rpc)
                yield request

        return lambda requests, context: inner(checked(requests), context)


class MessagesInterceptor(Around):
    """Counts the messages that go through the handlers themselves."""

    def __init__(self, metrics: RpcMetrics) -> None:
        self._metrics = metrics

    def _unary(self, rpc: Rpc, inner: Any) -> Any:
        metrics = self._metrics.method(method_labels(rpc.method))

        async def call(request: Any, context: Context) -> Any:
            metrics.received.inc()
            response = await inner(request, context)
            metrics.sent.inc()
            return response

        return call

    def _answers(self, rpc: Rpc, inner: Any) -> Any:
        metrics = self._metrics.method(method_labels(rpc.method, rpc.kind))

        def call(request: Any, context: Context) -> AsyncIterator[Any]:
            metrics.received.inc()
            return _sent(inner(request, context), metrics)

        return call

    def _stream(self, rpc: Rpc, inner: Any) -> Any:
        metrics = self._metrics.method(method_labels(rpc.method, rpc.kind))

        async def counted(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for request in requests:
                metrics.received.inc()
                yield request

        return lambda requests, context: _sent(inner(counted(requests), context), metrics)


async def _sent(responses: AsyncIterator[Any], metrics: MethodMetrics) -> AsyncIterator[Any]:
    async for response in responses:
        yield response
        metrics.sent.inc()


class ParcelsInterceptor(Around):
    """Has handlers take and return parcels where a message holds a tensor; the bytes on the wire are the same."""

    def wrap(self, method: str, handler: Any) -> Any:
        """Replaces the codecs of the method's messages."""
        if not handler.unary_unary or method.startswith("/grpc."):
            return handler
        request, response = method_codecs(method)
        return grpc.unary_unary_rpc_method_handler(
            handler.unary_unary, request_deserializer=request.decode, response_serializer=response.encode
        )


def _malformed(rpc: Rpc) -> InvalidArgument:
    return InvalidArgument(f"The bytes sent are no request of {rpc.method}.", reason=Reason.REQUEST_MALFORMED)


class DeadlineInterceptor(Around):
    """Gives every RPC a deadline: the caller's, shortened to the longest allowed, or the default."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._default_s = settings.default_timeout_s
        self._max_s = settings.max_timeout_s

    async def around(self, rpc: Rpc, context: Context, handle: Handle) -> Any:
        """Ends the RPC with DEADLINE_EXCEEDED when its time is up, whether or not the caller asked for it."""
        if rpc.streaming:  # lives as long as its caller; what it does for each message has a deadline of its own
            return await handle()
        left_s = cast("float | None", context.time_remaining())  # None without a deadline, whatever the stub says
        timeout_s = self._default_s if left_s is None else min(left_s, self._max_s)
        request_context.set_deadline(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await handle()
        except TimeoutError:
            raise DeadlineExceeded(f"The call did not finish within {timeout_s:.3g} s.") from None


def layers_about(
    settings: ProcessSettings,
    metrics: RpcMetrics,
    tracer: Tracer | None = None,
    *,
    edge: bool,
    probes: Collection[str],
    parcels: bool,
) -> Layers:
    """Returns all layers in their order.

    Args:
        settings: the process's.
        metrics: where RPCs are counted.
        tracer: begins the spans of those that are traced; None traces nothing.
        edge: whether outside callers talk to this server.
        probes: methods called so often, to see whether the process is well, that logging them would hide the rest.
        parcels: whether the handlers take and return parcels.
    """
    quiet = {"/grpc.health.v1.Health/Check", *probes}
    layers: list[Around] = [
        ContextInterceptor(echo=edge, tracer=tracer, quiet=quiet),
        LogInterceptor(every=settings.request_log, quiet=quiet),
        MetricsInterceptor(metrics),
        ErrorInterceptor(),
        DeadlineInterceptor(settings),
        MalformedInterceptor(),
        MessagesInterceptor(metrics),
    ]
    return Layers([*layers, ParcelsInterceptor()] if parcels else layers)
