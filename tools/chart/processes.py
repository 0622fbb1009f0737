"""Says which processes the chart's images run, and which settings and ports each knows."""

from collections.abc import Mapping

from localcluster import triton_container
from localcluster.triton_runtime import TritonRuntime
from servicekit.settings import ProcessSettings
from tools.chart.manifests import Manifest, process_of
from tools.document_settings import SERVICES

SETTINGS: Mapping[str, type[ProcessSettings]] = SERVICES
"""Settings of each of our processes, by the last part of its image's name."""
OWN_TRITON, NVIDIAS_TRITON = "triton-cpu", "tritonserver"
TRITON = frozenset({OWN_TRITON, NVIDIAS_TRITON})
"""Names of the images that run Triton."""
TOOLS = frozenset({"modelkit", "models"})
"""Images of ours that serve nothing."""
PORTS: Mapping[str, frozenset[int]] = {
    "gateway": frozenset({8080, 8081, 9464}),
    **dict.fromkeys(("preprocess", "inference", "postprocess"), frozenset({8081, 8082, 9464})),
    "experiments": frozenset({8081, 9464}),
    **dict.fromkeys(TRITON, frozenset({8001, 8002})),
}
"""Every port that a container of the process listens on."""


def triton_flags(container: Manifest) -> list[str]:
    """Returns the flags that Triton is started with, those of our own image first; of two that differ the last wins.

    Our own image knows the flags that harden Triton, and is given only what differs.
    """
    given = [
        word for word in [*(container.get("command") or ()), *(container.get("args") or ())] if word.startswith("--")
    ]
    if process_of(container) != OWN_TRITON:
        return given
    image = triton_container.RUNTIME
    argv, _ = triton_container.command(TritonRuntime(image, image / "backends"), given)
    return argv[1:]
