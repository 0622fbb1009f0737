"""The TensorRT gate: the graph is parsed, and a plan is built of it, by TensorRT-RTX, which needs no GPU for that."""

from dataclasses import dataclass

from modelkit.gate import GateError
from modelkit.tensorrt.api import RuntimeMissingError, load
from modelkit.tensorrt.building import RefusedError, Wanted, build
from modelkit.triton_config import MAX_BATCH_SIZE

TARGET = "sm89"
"""GPU that the gate builds for; none is needed."""
_WANTED = Wanted(max_batch=MAX_BATCH_SIZE, opt_batch=MAX_BATCH_SIZE // 4, target=TARGET)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is how a graph passed."""

    by: str
    """What took it: a version of TensorRT-RTX, or `static` where only the structure gate looked at its operators."""
    why: str = ""
    """Why nothing was built."""

    def sentence(self) -> str:
        """Tells people."""
        if self.why:
            return f"the TensorRT gate was static only, nothing was built: {self.why}"
        return f"the TensorRT gate: {self.by} builds the graph"


def check_tensorrt(onnx: bytes) -> Verdict:
    """Lets a graph pass that TensorRT reads and builds; one that cannot be tried, since TensorRT-RTX is not here, too.

    Args:
        onnx: the file, of which the structure gate found nothing bad.

    Raises:
        GateError: with TensorRT's own words.
    """
    try:
        trt = load("tensorrt-rtx")
    except RuntimeMissingError as error:
        return Verdict("static", str(error))
    try:
        build(trt, onnx, _WANTED)
    except RefusedError as error:
        raise GateError(f"the TensorRT gate refuses the model: TensorRT-RTX {trt.__version__} {error}") from error
    return Verdict(f"TensorRT-RTX {trt.__version__} for {TARGET}")
