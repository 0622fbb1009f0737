"""Renders a model's config.pbtxt: the same text serves on one machine and in NVIDIA's container."""

import re
from pathlib import Path

from servicekit.manifest import Output, Recipe

MAX_BATCH_SIZE = 32
INSTANCES = 2
MAX_QUEUE_SIZE = 256
"""Requests that may wait before Triton refuses; the gateway's limiter keeps the queue far shorter."""
QUEUE_TIMEOUT_US = 5_000_000
"""Triton heeds a request's own timeout only where it is smaller than this, and only where this is not zero."""

_TEMPLATE = """\
# Written by `triptych model import`: edit modelkit/triton_config.py instead.
name: "{name}"
backend: "openvino"
default_model_filename: "model.onnx"
max_batch_size: {max_batch_size}
version_policy {{ all {{}} }}
input [ {{ name: "{input_name}" data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] }} ]
output [ {{ name: "{output_name}" data_type: TYPE_FP32 dims: [ {classes} ] }} ]

# Two instances, each with every core. With one, Triton's batcher can miss the moment when it becomes free, and then
# sleeps 500 ms unless a request arrives (a queue with limits never prefetches); the second instance wakes it.
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]

# While one batch runs, the next one gathers: no extra wait is needed. A full or late queue refuses.
dynamic_batching {{
  max_queue_delay_microseconds: 0
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {timeout_us}
    allow_timeout_override: true
    max_queue_size: {max_queue_size}
  }}
}}

{warmups}

# NUM_STREAMS fits the machine's cores. ENABLE_BATCH_PADDING is for the native backend, which without it refuses every
# batch smaller than max_batch_size; the backend in triton_backends/ needs no padding and ignores it.
parameters {{ key: "NUM_STREAMS" value {{ string_value: "AUTO" }} }}
parameters {{ key: "ENABLE_BATCH_PADDING" value {{ string_value: "YES" }} }}
"""

_WARMUP = """\
model_warmup {{
  name: "{size} images"
  batch_size: {size}
  inputs {{
    key: "{input_name}"
    value {{ data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] random_data: true }}
  }}
}}"""


def render_config(name: str, recipe: Recipe, output: Output) -> str:
    """Renders the configuration of a classifier that takes uint8 NHWC pictures and answers fp32 logits."""
    picture = {"input_name": recipe.tensor, "height": recipe.height, "width": recipe.width}
    return _TEMPLATE.format(
        name=name,
        output_name=output.tensor,
        classes=output.classes,
        instances=INSTANCES,
        max_batch_size=MAX_BATCH_SIZE,
        max_queue_size=MAX_QUEUE_SIZE,
        timeout_us=QUEUE_TIMEOUT_US,
        warmups="\n".join(_WARMUP.format(size=size, **picture) for size in (1, MAX_BATCH_SIZE)),
        **picture,
    )


def read_max_batch_size(config: Path) -> int:
    """Reads the largest batch from a configuration that `render_config` rendered.

    Raises:
        ValueError: the file is missing, or says none.
    """
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    found = re.search(r"^max_batch_size: ([1-9]\d*)$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{config} says no max_batch_size")
    return int(found[1])
