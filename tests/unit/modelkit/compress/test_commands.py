"""What the commands say before anything is loaded."""

import pytest
from typer.testing import CliRunner

from modelkit.cli import app


@pytest.mark.parametrize(
    "words", [("--name", "x"), ("--method", "minmax"), ("--calibration-pictures", "8"), ("--set", "a=1")]
)
def test_a_published_model_takes_no_options_of_runs(words: tuple[str, str]) -> None:
    """They are not dropped in silence."""
    told = CliRunner().invoke(app, ["quantise", "efficientnet_lite0", "--version", "3", *words])
    assert 1 == told.exit_code
    assert (
        "--name, --method, --calibration-pictures and --set are of runs, which efficientnet_lite0 is not" in told.output
    )
