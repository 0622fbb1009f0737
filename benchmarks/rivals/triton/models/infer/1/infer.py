"""The second model of Triton's ensemble: pixels to logits."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from benchmarks.bare import Bare
from benchmarks.rivals.answers import BATCHES, infer


class TritonPythonModel:
    """Infers all requests of a call as one batch."""

    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002 (Triton's)
        """Compiles the network."""
        self._bare = Bare(batches=BATCHES)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request: `pixels`, uint8 `[n, 224, 224, 3]`, with `logits`, fp32 `[n, 1000]`."""
        pixels = [pb_utils.get_input_tensor_by_name(request, "pixels").as_numpy() for request in requests]
        logits = infer(self._bare, np.concatenate(pixels) if len(pixels) > 1 else pixels[0])
        ends = np.cumsum([len(each) for each in pixels])[:-1]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("logits", each)]) for each in np.split(logits, ends)]
