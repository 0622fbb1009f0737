"""The bare computation: the functions that the services call, in one thread, without any server.

Rivals import it too, so that every system computes exactly the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from servicekit.manifest import read_labels, read_manifest
from services.postprocess.ranking import Ranked, rank
from services.preprocess.headers import Limits, read_header
from services.preprocess.transforms import OVERSAMPLING, header_to_array

MODEL = Path(__file__).parents[1] / "triton_models" / "efficientnet_lite0"
TOP_K = 5

Pixels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


class Bare:
    """Decodes, infers and ranks."""

    def __init__(
        self,
        *,
        version: str = "1",
        threads: int = 1,
        batches: Sequence[int] = (1,),
        oversampling: float = OVERSAMPLING,
    ) -> None:
        """Compiles the model once per batch size, since that is faster than once with a free one.

        Args:
            version: of EfficientNet-Lite0 in the repository.
            threads: cores that one inference uses.
            batches: sizes that `infer` takes.
            oversampling: of JPEGs; see `services.preprocess.transforms`.
        """
        self._oversampling = oversampling
        self.manifest = read_manifest(MODEL)
        self.labels = read_labels(MODEL, self.manifest)
        self._temperature = self.manifest.versions[version].temperature
        # Without ENABLE_CPU_PINNING off, every process on the machine computes on core 0.
        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        core = openvino.Core()
        path = MODEL / self.manifest.versions[version].artifacts["cpu"].file
        self._requests = {size: _compile(core, path, settings, size) for size in batches}

    def decode(self, content: bytes) -> Pixels:
        """Returns the model's input, uint8 `[224, 224, 3]`.

        Raises:
            InvalidArgument: the picture cannot be read.
        """
        return header_to_array(read_header(content, Limits()), self.manifest.input, self._oversampling).pixels

    def infer(self, batch: Pixels) -> Logits:
        """Returns fp32 `[n, classes]` of uint8 `[n, 224, 224, 3]`; n is one of `batches`."""
        request = self._requests[len(batch)]
        request.infer(
            {0: openvino.Tensor(np.require(batch, requirements=["C", "W"]), shared_memory=True)}, share_inputs=True
        )
        logits: Logits = request.get_output_tensor(0).data.copy()
        return logits

    def rank(self, logits: Logits) -> list[list[Ranked]]:
        """Returns the five best classes of each row."""
        return rank(logits, self._temperature, [TOP_K] * len(logits), [0.0] * len(logits))

    def classify(self, content: bytes) -> list[Ranked]:
        """Does all three for one picture."""
        return self.rank(self.infer(self.decode(content)[np.newaxis]))[0]


def _compile(core: Any, path: Path, settings: dict[str, Any], size: int) -> Any:
    model = core.read_model(path)
    port = model.input(0)
    model.reshape({port.any_name: openvino.PartialShape([size, *list(port.partial_shape)[1:]])})
    return core.compile_model(model, "CPU", settings).create_infer_request()
