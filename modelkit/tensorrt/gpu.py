"""GPUs: the one that is here, and those that a plan can be built for without them."""

import re
import subprocess
from dataclasses import dataclass

_FIELDS = "name,compute_cap,driver_version"


class GpuError(ValueError):
    """Says why there is no GPU to build for."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Is a GPU."""

    compute_capability: str
    """Such as `8.9`."""
    product: str = ""
    """Such as `NVIDIA L4`; empty for any of that capability."""
    driver: str = ""
    """Version of the driver; empty where the GPU is not here."""

    @property
    def target(self) -> str:
        """Names the capability as options do: `sm89`."""
        return f"sm{self.compute_capability.replace('.', '')}"


def named(target: str) -> Gpu:
    """Returns the GPU that an option names.

    Raises:
        GpuError: it is no name such as `sm89`.
    """
    found = re.fullmatch(r"sm(\d+)(\d)", target)
    if not found:
        raise GpuError(f"--target {target!r} is no compute capability: it has to be like sm89 or sm120")
    return Gpu(".".join(found.groups()))


def gpu_here(program: str = "nvidia-smi") -> Gpu | None:
    """Asks the driver for this machine's GPU; None without one.

    Raises:
        GpuError: there are several kinds, of which TensorRT would take the fastest.
    """
    command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    kinds = {tuple(line.split(", ")) for line in asked.stdout.splitlines() if line.count(", ") == 2}
    if len(kinds) > 1:
        several = ", ".join(sorted(product for product, *_ in kinds))
        raise GpuError(f"this machine has GPUs of several kinds ({several}): build in a container that sees one kind")
    return next((Gpu(capability, product, driver) for product, capability, driver in kinds), None)
