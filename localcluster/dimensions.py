"""What there is to tune on a machine: the variables, their defaults there, and the values worth a trial."""

from collections.abc import Collection
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from gateway.settings import GatewaySettings
from localcluster.default_model import default_model
from localcluster.triton_command import ENGINE_THREADS
from localcluster.tuned_file import DECODE_THREADS, MAX_MESSAGE_IMAGES, MAX_MESSAGES, VARIABLES
from localcluster.tuning import Dimension

MESSAGES = (1, 2, 3, 4, 6, 8)
MESSAGE_IMAGES = (2, 4, 8, 16, 32)


def dimensions(cores: int, config: Path, settled: Collection[str]) -> list[Dimension]:
    """Returns the dimensions in the order of `VARIABLES`.

    Args:
        cores: of the machine.
        config: the `config.pbtxt` of the model that is measured.
        settled: variables that are not to be tried.

    Raises:
        ValueError: the configuration cannot be read.
    """
    fields = GatewaySettings.model_fields
    model = _model(config)
    engine = max(1, cores // (sum(group.count or 1 for group in model.instance_group) or 1))
    found = {
        MAX_MESSAGES: _dimension(MAX_MESSAGES, MESSAGES, fields["max_messages"].default),
        ENGINE_THREADS: _dimension(ENGINE_THREADS, _threads(cores), engine),
        DECODE_THREADS: _dimension(DECODE_THREADS, _threads(cores), cores),
        MAX_MESSAGE_IMAGES: _dimension(MAX_MESSAGE_IMAGES, MESSAGE_IMAGES, fields["max_message_images"].default),
    }
    unused = {ENGINE_THREADS} if "INFERENCE_NUM_THREADS" in model.parameters else set()
    return [found[variable] for variable in VARIABLES if variable not in unused | set(settled)]


def model_config(repository: Path, model: str) -> Path:
    """Returns the configuration of the model that answers when a request names none; `model` is the user's choice."""
    return repository / default_model(repository, model) / "config.pbtxt"


def _dimension(variable: str, values: Collection[int], default: int) -> Dimension:
    return Dimension(variable, tuple(sorted({*values, default})), default)


def _threads(cores: int) -> set[int]:
    """Returns the powers of two below the number of cores, and that number."""
    return {1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores}


def _model(config: Path) -> model_config_pb2.ModelConfig:
    try:
        return text_format.Parse(config.read_text(), model_config_pb2.ModelConfig())
    except (text_format.ParseError, OSError) as error:
        raise ValueError(f"{config} cannot be read: {error}") from error
