"""Settings of the co-located process: everybody's, read once."""

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
