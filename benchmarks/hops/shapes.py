"""The shapes that are compared, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hops.codecs import Codec, ProtobufInference, ProtobufPreprocess, RawInference, RawPreprocess
from benchmarks.hops.parcels import ParcelInference, ParcelPreprocess
from benchmarks.hops.payload import INFERENCE, PREPROCESS, Hop
from benchmarks.hops.ring import Ring, RingInference, RingPreprocess

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
ONE_BY_ONE = (1,)
BATCHES = (1, 4, 8)
EIGHT = (8,)

KEPT = {"MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(512 * 1024 * 1024)}
"""Has the C library keep freed memory: otherwise every message of a megabyte is mapped, cleared and unmapped anew."""

Options = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Is one way to move a batch over a hop."""

    name: str
    transport: str
    """`unary`, `streams` (one for each message in flight), `stream` (one for all), `servicekit` or `frames`."""
    codec: str
    """`protobuf`, `parcels`, `raw`, `parts` (raw, never joined), `ring` (copied in) or `placed` (made there)."""
    images: tuple[int, ...] = BATCHES
    hops: tuple[Hop, ...] = (INFERENCE, PREPROCESS)
    unix: bool = False
    request_log: bool = False
    options: Options = ()
    env: Mapping[str, str] = field(default_factory=dict)


def codecs(shape: Shape, directory: Path) -> dict[str, Codec]:
    """Returns the codec of each hop; `directory` holds what both processes map."""
    match shape.codec:
        case "protobuf":
            return {"inference": ProtobufInference(), "preprocess": ProtobufPreprocess()}
        case "parcels":
            return {"inference": ParcelInference(), "preprocess": ParcelPreprocess()}
        case "raw":
            return {"inference": RawInference(), "preprocess": RawPreprocess()}
        case "parts":
            return {"inference": RawInference(list), "preprocess": RawPreprocess(list)}
    copied = shape.codec == "ring"
    return {
        "inference": RingInference(Ring(directory / "inference"), copied=copied),
        "preprocess": RingPreprocess(Ring(directory / "preprocess"), copied=copied),
    }


def _tuned(name: str, options: Options = (), env: Mapping[str, str] | None = None) -> Shape:
    return Shape(f"tuned: {name}", "unary", "raw", EIGHT, (INFERENCE,), options=options, env=env or {})


_MIB = 1024 * 1024
_CHUNKS = (
    ("grpc.experimental.tcp_read_chunk_size", _MIB),
    ("grpc.experimental.tcp_min_read_chunk_size", _MIB),
    ("grpc.experimental.tcp_max_read_chunk_size", 4 * _MIB),
)
TUNED = (
    _tuned("nothing"),
    _tuned("lookahead 4 MiB", (("grpc.http2.lookahead_bytes", 4 * _MIB),)),
    _tuned("lookahead 4 MiB, no probe", (("grpc.http2.lookahead_bytes", 4 * _MIB), ("grpc.http2.bdp_probe", 0))),
    _tuned("no probe", (("grpc.http2.bdp_probe", 0),)),
    _tuned("frames of 1 MiB", (("grpc.http2.max_frame_size", _MIB),)),
    _tuned("write buffer 2 MiB", (("grpc.http2.write_buffer_size", 2 * _MIB),)),
    _tuned(
        "read chunks of 1 to 4 MiB",
        _CHUNKS,
    ),
    _tuned("no retries", (("grpc.enable_retries", 0),)),
    _tuned("minimal stack", (("grpc.minimal_stack", 1),)),
    _tuned(
        "malloc keeps memory",
        env=KEPT,
    ),
    _tuned("malloc trims above 64 MiB", env={"MALLOC_TRIM_THRESHOLD_": str(64 * _MIB)}),
    _tuned("malloc pads by 16 MiB", env={"MALLOC_TOP_PAD_": str(16 * _MIB)}),
    _tuned("malloc, one arena", env={**KEPT, "MALLOC_ARENA_MAX": "1"}),
    _tuned(
        "malloc, one arena, huge pages",
        env={**KEPT, "MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    ),
    _tuned("malloc, lookahead 4 MiB", (("grpc.http2.lookahead_bytes", 4 * _MIB),), KEPT),
    _tuned("malloc, write buffer 2 MiB", (("grpc.http2.write_buffer_size", 2 * _MIB),), KEPT),
    _tuned("malloc, frames of 1 MiB", (("grpc.http2.max_frame_size", _MIB),), KEPT),
    _tuned("malloc, read chunks of 1 to 4 MiB", _CHUNKS, KEPT),
    _tuned(
        "malloc, window, buffer, chunks",
        (*_CHUNKS, ("grpc.http2.lookahead_bytes", 4 * _MIB), ("grpc.http2.write_buffer_size", 2 * _MIB)),
        KEPT,
    ),
    _tuned("experiment tcp_rcv_lowat", env={"GRPC_EXPERIMENTS": "tcp_rcv_lowat"}),
    _tuned("experiment tcp_frame_size_tuning", env={"GRPC_EXPERIMENTS": "tcp_frame_size_tuning"}),
)

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("servicekit, log", "servicekit", "parcels", ONE_BY_ONE, (INFERENCE,), request_log=True),
        Shape("servicekit", "servicekit", "parcels"),
        Shape("unary protobuf", "unary", "protobuf"),
        Shape("unary raw", "unary", "raw"),
        Shape("unary raw, unix", "unary", "raw", unix=True),
        Shape("streams raw", "streams", "raw"),
        Shape("one stream raw", "stream", "raw"),
        Shape("unary ring", "unary", "ring"),
        Shape("unary placed", "unary", "placed"),
        Shape("streams placed", "streams", "placed", EIGHT),
        Shape("frames", "frames", "parts"),
        Shape("frames, unix", "frames", "parts", unix=True),
        *TUNED,
    )
}
