"""Settings of the preprocess service."""

from pathlib import Path

from pydantic import Field

from servicekit.cores import usable_cores
from servicekit.settings import MIB, ServiceSettings
from services.preprocess.transforms import OVERSAMPLING


class PreprocessSettings(ServiceSettings):
    """Says where the recipes are and how much an image may cost."""

    model_repository: Path
    """Folder with one folder per model."""
    decode_threads: int = Field(default_factory=usable_cores, ge=1)
    """Images decoded at the same time; each takes one core."""
    max_waiting: int = Field(default=256, ge=1)
    """Images that may wait for a thread; more are refused at once."""
    max_decode_bytes: int = Field(default=1024 * MIB, ge=MIB)
    """Memory that pictures being decoded may take together; the others wait."""
    max_batch: int = Field(default=64, ge=1)
    """Images per internal call."""
    max_image_bytes: int = Field(default=16 * MIB, ge=1)
    """Bytes of one encoded image."""
    max_image_pixels: int = Field(default=50_000_000, ge=1)
    """Width times height of one image."""
    jpeg_oversampling: float = Field(default=OVERSAMPLING, ge=1, le=8)
    """JPEGs are decoded at no less than this many times the input's size, and resized from there; 1 is fastest, and
    moves logits by up to 0.8 instead of 0.3."""
