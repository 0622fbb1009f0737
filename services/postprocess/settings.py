"""Settings of the postprocess service."""

from pathlib import Path

from pydantic import Field

from servicekit.settings import ServiceSettings


class PostprocessSettings(ServiceSettings):
    """Says where labels and temperatures are."""

    model_repository: Path
    """Folder with one folder per model."""
    max_batch: int = Field(default=64, ge=1)
    """Images per internal call."""
    max_top_k: int = Field(default=1000, ge=1)
    """Most predictions per row that a caller may ask for."""
