"""The first model of Triton's ensemble: JPEG bytes to pixels."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from benchmarks.bare import Bare


class TritonPythonModel:
    """Decodes and resizes."""

    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002 (Triton's)
        """Prepares the bare computation."""
        self._bare = Bare(batches=())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request: `content`, uint8 `[n, length]`, with `pixels`, uint8 `[n, 224, 224, 3]`."""
        return [self._answer(pb_utils.get_input_tensor_by_name(request, "content").as_numpy()) for request in requests]

    def _answer(self, contents: Any) -> Any:
        pixels = np.stack([self._bare.decode(content) for content in map(bytes, contents)])
        return pb_utils.InferenceResponse([pb_utils.Tensor("pixels", pixels)])
