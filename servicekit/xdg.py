"""Where users keep files, by the XDG rules."""

import os
from pathlib import Path


def config_home() -> Path:
    """Returns where the user keeps settings."""
    return _home("XDG_CONFIG_HOME", ".config")


def state_home() -> Path:
    """Returns where programs keep what shall outlast them."""
    return _home("XDG_STATE_HOME", ".local/state")


def cache_home() -> Path:
    """Returns where programs keep what they can make again."""
    return _home("XDG_CACHE_HOME", ".cache")


def _home(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")  # noqa: TID251 (XDG variables are no settings of ours)
    return Path(value) if value.startswith("/") else Path.home() / default
