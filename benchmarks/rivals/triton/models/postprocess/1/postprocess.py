"""The third model of Triton's ensemble: logits to the best classes."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from benchmarks.bare import Bare


class TritonPythonModel:
    """Ranks."""

    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002 (Triton's)
        """Prepares the bare computation."""
        self._bare = Bare(batches=())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request: `logits`, fp32 `[n, 1000]`, with `index`, int32, and `score`, fp32, both `[n, 5]`."""
        return [self._answer(pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()) for request in requests]

    def _answer(self, logits: Any) -> Any:
        rows = self._bare.rank(logits)
        index = np.array([[each.index for each in row] for row in rows], np.int32)
        score = np.array([[each.score for each in row] for row in rows], np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("index", index), pb_utils.Tensor("score", score)])
