"""Settings of the co-located process: everybody's, read once."""

from typing import Self

from pydantic import field_validator, model_validator

from gateway.settings import GatewaySettings
from services.inference.settings import InferenceSettings
from services.postprocess.settings import PostprocessSettings
from services.preprocess.settings import PreprocessSettings

HERE = "inprocess:"


class ColocatedSettings(GatewaySettings, PreprocessSettings, InferenceSettings, PostprocessSettings):
    """Says what the gateway and the services must know; where the services are is known."""

    preprocess_target: str = HERE
    """Cannot be set."""
    inference_target: str = HERE
    """Cannot be set."""
    postprocess_target: str = HERE
    """Cannot be set."""
    link_port: int | None = None
    """Cannot be set."""

    @field_validator("preprocess_target", "inference_target", "postprocess_target")
    @classmethod
    def _check_target(cls, value: str) -> str:
        if value != HERE:
            raise ValueError("this process has the service inside and calls no other, so leave it unset")
        return value

    @field_validator("link_port", mode="before")
    @classmethod
    def _check_link_port(cls, value: object) -> None:
        if value is not None:
            raise ValueError("this process has the services inside and serves no links, so leave it unset")

    @model_validator(mode="after")
    def _check_messages(self) -> Self:
        if self.max_message_images > self.max_batch:
            raise ValueError(f"max_message_images ({self.max_message_images}) is above max_batch ({self.max_batch})")
        return self
