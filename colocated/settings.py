"""Settings of the co-located process: everybody's, read once."""

from typing import Self

from pydantic import model_validator

from gateway.settings import GatewaySettings
from services.inference.settings import InferenceSettings
from services.postprocess.settings import PostprocessSettings
from services.preprocess.settings import PreprocessSettings

HERE = "inprocess:"


class ColocatedSettings(GatewaySettings, PreprocessSettings, InferenceSettings, PostprocessSettings):
    """Says what the gateway and the services must know; where the services are is known."""

    preprocess_target: str = HERE
    """Not used."""
    inference_target: str = HERE
    """Not used."""
    postprocess_target: str = HERE
    """Not used."""

    @model_validator(mode="after")
    def _check_messages(self) -> Self:
        if self.max_message_images > self.max_batch:
            raise ValueError(f"max_message_images ({self.max_message_images}) is above max_batch ({self.max_batch})")
        return self
