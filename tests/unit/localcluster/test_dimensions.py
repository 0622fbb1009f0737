"""What is tried on a machine, and from where."""

from pathlib import Path

import pytest

from localcluster.default_model import default_model
from localcluster.dimensions import dimensions, model_config
from localcluster.options import MODEL_REPOSITORY
from localcluster.tuned_file import VARIABLES
from localcluster.tuning import Dimension

pytestmark = pytest.mark.unit


def _config(folder: Path, text: str) -> Path:
    path = folder / "config.pbtxt"
    path.write_text(text)
    return path


def _found(cores: int, config: Path, *settled: str) -> dict[str, Dimension]:
    return {each.variable: each for each in dimensions(cores, config, settled)}


def test_the_engines_default_is_its_part_of_the_cores(tmp_path: Path) -> None:
    """Two instances on twelve cores start from six threads each, with the powers of two and all cores around them."""
    config = _config(tmp_path, "instance_group [ { count: 2 kind: KIND_CPU } ]")
    engine = _found(12, config)["OPENVINO_THREADS"]
    assert (6, (1, 2, 4, 6, 8, 12)) == (engine.default, engine.values)


def test_every_default_can_be_tried() -> None:
    """Each dimension holds its default, on machines of any size, for the model that comes with the source."""
    config = model_config(MODEL_REPOSITORY, "")
    for cores in (1, 2, 7, 64):
        found = _found(cores, config)
        assert VARIABLES == tuple(found)
        assert all(each.default in each.values for each in found.values())


def test_the_model_is_the_one_that_answers_when_none_is_named(tmp_path: Path) -> None:
    """The user's choice comes first, then the only one there is, then the gateway's own default."""
    found = [default_model(tmp_path, "chosen"), default_model(tmp_path, "")]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        _config(tmp_path / name, "")
        found.append(default_model(tmp_path, ""))
    assert ["chosen", "efficientnet_lite0", "first", "efficientnet_lite0"] == found


def test_threads_that_the_model_settles_are_not_tried(tmp_path: Path) -> None:
    """A model's own INFERENCE_NUM_THREADS wins over the variable, so trials would all be equal."""
    parameter = 'parameters { key: "INFERENCE_NUM_THREADS" value { string_value: "3" } }'
    assert "OPENVINO_THREADS" not in _found(4, _config(tmp_path, parameter))


def test_what_the_user_settles_is_not_tried(tmp_path: Path) -> None:
    """A variable of the user's environment stays as it is."""
    assert "TRIPTYCH_MAX_MESSAGES" not in _found(4, _config(tmp_path, ""), "TRIPTYCH_MAX_MESSAGES")


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """The file is named."""
    for path in (_config(tmp_path, "no such field: 1"), tmp_path / "absent.pbtxt"):
        with pytest.raises(ValueError, match=f"{path} cannot be read"):
            dimensions(2, path, ())
