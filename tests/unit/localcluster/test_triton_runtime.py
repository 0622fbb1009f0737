"""What the installer says when it cannot work."""

from pathlib import Path

import pytest

from localcluster.triton_runtime import ensure_runtime
from localcluster.wheels import InstallError


def test_without_the_repository_it_says_so(tmp_path: Path) -> None:
    """An installation without the backend's source names the cure, not a path, and leaves nothing behind."""
    with pytest.raises(InstallError, match="runs from a clone"):
        ensure_runtime(tmp_path / "root", tmp_path / "openvino")
    assert [] == list(tmp_path.iterdir())
