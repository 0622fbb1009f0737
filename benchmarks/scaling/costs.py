"""What things cost: the numbers that the simulation runs on, each with where it comes from."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_origin

MEASURED = Path(__file__).with_name("measured.json")
KINDS = frozenset({"measured", "assumed"})


@dataclass(frozen=True, slots=True)
class Costs:
    """Holds CPU times in ms of one core, GPU times in ms of one GPU, sizes in kB, bandwidth in Gbit/s."""

    decode_ms: tuple[float, ...]
    """Header check, decoding, cropping and resizing on one core; an image costs one of these, all equally likely."""
    infer_cpu_batch_ms: float
    """One inference on one core costs this, whatever the batch,"""
    infer_cpu_image_ms: float
    """and this for every image in it."""
    rank_ms: float
    """Temperature, softmax and the best classes of one image."""
    hop_message_ms: float
    """Both sides of one call between two services, half each,"""
    hop_mb_ms: float
    """and this for every MB in question and answer."""
    gateway_request_ms: float
    """What the gateway does for a caller's request besides receiving it: checks, admission, metrics, the answer."""
    triton_message_ms: float
    """What one request to Triton costs besides the inference, at the inference service and in Triton."""
    infer_gpu_batch_ms: float
    infer_gpu_image_ms: float
    decode_gpu_batch_ms: float
    decode_gpu_image_ms: float
    """Of the GPU's JPEG engine, which works beside the one that infers."""
    decode_gpu_host_ms: float
    """CPU of the host while the GPU decodes one image."""
    jpeg_kb: float
    tensor_kb: float
    logits_kb: float
    answer_kb: float
    node_cores: int
    cpu_node_gbit: float
    """Each way, as for `gpu_node_gbit`."""
    gpu_node_gbit: float
    link_ms: float
    """One way between two nodes of a zone."""
    zone_ms: float
    """What crossing into another zone adds to that."""

    def __post_init__(self) -> None:
        """Refuses what cannot be simulated.

        Raises:
            ValueError: naming the field.
        """
        if not self.decode_ms:
            raise ValueError("decode_ms: needs at least one time")
        for name in _NAMES:
            value = getattr(self, name)
            if min(value if isinstance(value, tuple) else (value,)) < 0:
                raise ValueError(f"{name}: {value} is negative")
        for name in ("node_cores", "cpu_node_gbit", "gpu_node_gbit"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must be above 0")


_NAMES = tuple(field.name for field in fields(Costs))
_LISTS = frozenset(field.name for field in fields(Costs) if get_origin(field.type) is tuple)


def read_costs(path: Path = MEASURED) -> Costs:
    """Reads `{"<field>": {"value": ..., "kind": "measured" | "assumed", "source": ...}, ...}`.

    Raises:
        ValueError: a number is missing, unknown, no number, or without its source; the message names it.
        OSError: the file cannot be read.
    """
    document: dict[str, Any] = json.loads(path.read_text())
    if wrong := document.keys() ^ set(_NAMES):
        raise ValueError(f"{path}: missing or unknown: {', '.join(sorted(wrong))}")
    return Costs(**{name: _value(path, name, document[name]) for name in _NAMES})


def _value(path: Path, name: str, entry: Any) -> Any:
    if not isinstance(entry, dict) or entry.get("kind") not in KINDS or not entry.get("source"):
        raise ValueError(f"{path}: {name}: needs value, kind (measured or assumed) and source")
    value = entry.get("value")
    values = value if name in _LISTS and isinstance(value, list) else [value]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in values):
        raise ValueError(f"{path}: {name}: {value!r} is no number")
    return tuple(values) if name in _LISTS else value
