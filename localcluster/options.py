"""What a user can ask of `triptych up`."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

MODEL_REPOSITORY = Path(__file__).parents[1] / "triton_models"
"""The models that come with the source."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Describes the cluster to run; also travels, as JSON, to a supervisor in the background."""

    state_dir: Path
    host: str = "127.0.0.1"
    http_port: int | None = None
    """None: the default one or, when that is taken, any free one. 0: any free one."""
    grpc_port: int | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    model_repository: Path = MODEL_REPOSITORY
    model: str = ""
    """Empty: the gateway's own default."""
    timeout_s: float = 120.0
    log_format: str = "json"
    """How the services write their log files: `json` or `console`."""
    colocated: bool = False
    """Whether gateway and services are one process."""
    experiments: bool = True
    """Whether experiments and feedback are kept, by a process of their own."""
    tuned: Mapping[str, str] = field(default_factory=dict)
    """Variables of the processes, below those of the user's environment."""

    def differences(self, running: Mapping[str, Any], given: Collection[str]) -> list[str]:
        """Says in which of the options that the user gave a running cluster is otherwise.

        Args:
            running: the settings in its status.
            given: names of fields; what was not given is as it may be.
        """
        if not running:  # started by another release
            return []
        pairs = [(name, running.get(name), getattr(self, name)) for name in given if name not in ("replicas",)]
        pairs += [(name, running["replicas"].get(name), count) for name, count in self.replicas.items()]
        return [f"{name} is {is_}, not {wanted}" for name, is_, wanted in pairs if not _agree(name, is_, wanted)]

    def to_json(self) -> str:
        """Returns the text that `from_json` reads."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote."""
        data = json.loads(text)
        return cls(**{**data, "state_dir": Path(data["state_dir"]), "model_repository": Path(data["model_repository"])})


def _agree(name: str, is_: object, wanted: object) -> bool:
    any_port = name in ("http_port", "grpc_port") and wanted in (0, None)
    return any_port or str(is_) == str(wanted)
