"""Settings of the inference service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from servicekit.settings import ServiceSettings
from services.inference.servers import named


class InferenceSettings(ServiceSettings):
    """Says where the models are and which Triton servers run them."""

    model_repository: Path
    """Folder with one folder per model."""
    triton_targets: Annotated[tuple[str, ...], NoDecode]
    """Where the Triton servers are, separated by commas: `127.0.0.1:8001` is one; `dns:///triton:8001` is one at every
    address of the name, such as that of a headless service, and is looked up each second."""
    max_batch: int = Field(default=64, ge=1)
    """Images per internal call."""
    probe_interval_s: float = Field(default=0.25, gt=0)
    """Pause between two checks of a Triton server."""

    @field_validator("triton_targets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        targets = tuple(target.strip() for target in value.split(",") if target.strip())
        if not targets:
            raise ValueError("at least one Triton server is needed")
        for target in targets:
            named(target)
        return targets
