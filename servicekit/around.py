"""What happens about every handler: layers, each wrapped once, at the method's first call.

Only the kinds of RPC that the contract has are known: unary ones, and those whose answer is a stream.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import grpc

Context = grpc.aio.ServicerContext[Any, Any]
Handle = Callable[[], Awaitable[Any]]
Kind = Literal["unary", "server_stream", "bidi_stream"]
"""Says on which sides there is a stream, in the words of go-grpc-prometheus."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """Names the method that is called."""

    method: str
    """`/package.Service/Method`."""
    kind: Kind

    @property
    def streaming(self) -> bool:
        """Says whether the answer is a stream."""
        return self.kind != "unary"


def kind_of(handler: Any) -> Kind:
    """Returns the kind of RPC that a gRPC handler is for."""
    if handler.unary_unary:
        return "unary"
    return "bidi_stream" if handler.stream_stream else "server_stream"


class Around:
    """Runs `around` about every RPC; subclasses say what happens before and after."""

    async def around(self, rpc: Rpc, context: Context, handle: Handle) -> Any:
        """Awaits `handle`, and whatever else the subclass is for."""
        raise NotImplementedError

    def wrap(self, method: str, handler: Any) -> Any:
        """Returns the handler of a method with this layer about it."""
        codec = {
            "request_deserializer": self._deserializer(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        rpc = Rpc(method, kind_of(handler))
        if rpc.kind == "unary":
            return grpc.unary_unary_rpc_method_handler(self._unary(rpc, handler.unary_unary), **codec)
        if rpc.kind == "bidi_stream":
            return grpc.stream_stream_rpc_method_handler(self._stream(rpc, handler.stream_stream), **codec)
        if method.startswith("/grpc."):
            return handler  # health's Watch brings no error or timing of ours
        return grpc.unary_stream_rpc_method_handler(self._answers(rpc, handler.unary_stream), **codec)

    def _deserializer(self, inner: Any) -> Any:
        return inner

    def _unary(self, rpc: Rpc, inner: Any) -> Any:
        async def call(request: Any, context: Context) -> Any:
            return await self.around(rpc, context, lambda: inner(request, context))

        return call

    def _stream(self, rpc: Rpc, inner: Any) -> Any:
        return self._answers(rpc, inner)

    def _answers(self, rpc: Rpc, inner: Any) -> Any:
        async def call(asked: Any, context: Context) -> None:
            async def handle() -> None:
                responses = inner(asked, context)
                if not isinstance(responses, AsyncIterator):
                    await responses  # a handler that an interceptor further in has wrapped, and that writes by itself
                    return
                async for response in responses:
                    await context.write(response)

            await self.around(rpc, context, handle)

        return call


class Layers(grpc.aio.ServerInterceptor):
    """Is all layers as one interceptor: a call looks its method up once, and then runs plain nested coroutines."""

    def __init__(self, layers: Sequence[Around]) -> None:
        """Takes the layers, the outermost first."""
        self._layers = layers
        self._wrapped: dict[str, Any] = {}
        self.taken = 0
        """Calls that gRPC has handed over."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Returns the wrapped handler of the method, wrapping it the first time."""
        self.taken += 1
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # unknown method: gRPC answers UNIMPLEMENTED; not kept, since callers choose the names
            wrapped = self._wrapped[method] = self.wrap(method, handler)
        return wrapped

    def wrap(self, method: str, handler: Any) -> Any:
        """Returns the handler of a method with all layers about it."""
        for layer in reversed(self._layers):
            handler = layer.wrap(method, handler)
        return handler
