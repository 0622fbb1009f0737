"""Lets timm be imported beside a torch that torchvision was not built for.

timm asks torchvision for Python only. torchvision itself, as it is imported, wants two operators of its compiled part,
which find objects in pictures and which no classifier calls; and that part loads only beside the torch that it was
built for: packages come built for CUDA. Beside another torch the two are declared here, without code.
"""

from importlib.util import find_spec
from pathlib import Path

import torch


def declare() -> None:
    """Declares the operators unless torchvision's own can be loaded."""
    found = find_spec("torchvision")
    assert found is not None
    assert found.origin is not None
    try:
        torch.ops.load_library(str(Path(found.origin).with_name("_C.so")))
    except OSError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
