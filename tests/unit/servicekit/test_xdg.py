"""Where users keep files."""

from pathlib import Path

import pytest

from servicekit.xdg import cache_home


@pytest.mark.parametrize(("value", "expected"), [("/cache", "/cache"), ("", "/me/.cache"), ("relative", "/me/.cache")])
def test_only_an_absolute_path_counts(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    """The XDG rules say that a relative one is to be ignored."""
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/me")
    assert Path(expected) == cache_home()
