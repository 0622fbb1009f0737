"""What the commands that train say at their end."""

import json
from pathlib import Path

import pytest

from modelkit.train.cli import tell_result

pytestmark = pytest.mark.unit

RESULT = {
    "val": {"pictures": 20, "loss": 0.54629, "top1": 0.65, "top5": 1.0},
    "test": {"pictures": 1028, "loss": 0.32324, "top1": 0.85714, "top5": 1.0},
    "parameters": 19763,
    "macs": 2207840,
    "steps": 1060,
    "seconds": 12.1,
}
SIZE = "19,763 parameters, 2.21 million multiply-accumulates"


@pytest.mark.parametrize(
    ("more", "size"), [({}, SIZE), ({"removed_macs": 0.508}, f"{SIZE} (50.8% of the parent's went)")]
)
def test_a_result_is_told_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, float], size: str
) -> None:
    """A line for each split that judged the run, then the folder; a pruned one says what it lost."""
    (tmp_path / "result.json").write_text(json.dumps({**RESULT, **more}))
    tell_result(tmp_path)
    told = capsys.readouterr().out.splitlines()
    splits = ["val: top-1 65.00%, loss 0.5463, of 20 pictures", "test: top-1 85.71%, loss 0.3232, of 1,028 pictures"]
    assert [*splits, f"{tmp_path}  {size}, 1,060 steps, 12.1 s"] == told
