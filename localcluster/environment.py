"""The one place of the local cluster that reads the environment: what children inherit, and where users keep files."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from servicekit.xdg import cache_home, config_home, state_home


def inherited() -> dict[str, str]:
    """Returns the environment that children start from; it is handed on whole."""
    return dict(os.environ)  # noqa: TID251 (nothing is read from it)


def given(variables: Iterable[str]) -> dict[str, str]:
    """Returns those of the variables that the user's environment sets, with their values."""
    return {name: os.environ[name] for name in variables if name in os.environ}  # noqa: TID251 (children read them)


def state_directory(name: str = "default") -> Path:
    """Returns where the user's cluster of this name keeps state and logs, by the XDG rules."""
    return state_home() / "triptych" / name


def state_flag(state_dir: Path) -> str:
    """Returns what to add to a command so that it finds the cluster in this folder; nothing for the usual one."""
    return "" if state_dir == state_directory() else f" --state-dir {shlex.quote(str(state_dir))}"


def config_directory() -> Path:
    """Returns where the user keeps settings."""
    return config_home() / "triptych"


def triton_directory() -> Path:
    """Returns where the user's Triton is installed."""
    return cache_home() / "triptych" / "triton"
