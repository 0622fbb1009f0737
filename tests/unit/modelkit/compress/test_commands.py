"""What the commands say before anything is loaded."""

from pathlib import Path

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


@pytest.mark.parametrize(
    "words",
    [("--version", "3"), ("--from", "1"), ("--calibration", "x"), ("--photographs", "x"), ("--max-slowdown", "2")],
)
def test_a_run_takes_no_options_of_published_models(tmp_path: Path, words: tuple[str, str]) -> None:
    """It gets a number when it is published, and is judged by its data set."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text("name: small\nparent: large\n", encoding="utf-8")
    told = CliRunner().invoke(app, ["quantise", str(recipe), *words])
    assert 1 == told.exit_code
    assert "--version, --from, --calibration, --photographs and --max-slowdown are of published models" in told.output


def test_a_path_without_a_run_is_no_published_model(tmp_path: Path) -> None:
    """Whoever misspelt a run is not asked for a version."""
    told = CliRunner().invoke(app, ["quantise", str(tmp_path / "nosuch")])
    assert (1, True) == (told.exit_code, told.output.endswith("nosuch is no folder of a finished run\n"))
