"""Triptych: image classifiers in production, served with NVIDIA Triton.

    import triptych

    with triptych.Client("localhost:8081") as client:
        print(client.classify("cat.jpg").best.label)

`AsyncClient` (also `triptych.aio.Client`) is the same for asyncio. The generated messages are in `triptych.<api>.v1`.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loaded on first use: whoever wants one message should not pay for the client
    from triptych.client.aio import AsyncClient as AsyncClient
    from triptych.client.errors import ClassifyError as ClassifyError
    from triptych.client.feedback import Feedback as Feedback
    from triptych.client.results import Classification as Classification
    from triptych.client.results import Frame as Frame
    from triptych.client.results import Model as Model
    from triptych.client.results import ModelVersion as ModelVersion
    from triptych.client.results import Prediction as Prediction
    from triptych.client.results import Timing as Timing
    from triptych.client.sync import Client as Client
    from triptych.client.tls import Tls as Tls

    __version__: str

_HOMES = {
    "AsyncClient": "triptych.client.aio",
    "Classification": "triptych.client.results",
    "ClassifyError": "triptych.client.errors",
    "Client": "triptych.client.sync",
    "Feedback": "triptych.client.feedback",
    "Frame": "triptych.client.results",
    "Model": "triptych.client.results",
    "ModelVersion": "triptych.client.results",
    "Prediction": "triptych.client.results",
    "Timing": "triptych.client.results",
    "Tls": "triptych.client.tls",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 (all of them are names)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("triptych")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
