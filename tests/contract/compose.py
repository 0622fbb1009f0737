"""Reads docker-compose.yml, .env and the Dockerfile, for whoever holds other files against them."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
STAGES = ("preprocess", "inference", "postprocess")
SERVICES = ("gateway", *STAGES, "experiments")


def compose() -> dict[str, Any]:
    """Returns docker-compose.yml, its variables not filled in."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    """Returns every service, of all profiles."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def dotenv() -> dict[str, str]:
    """Returns what .env sets."""
    lines = (line.strip() for line in (ROOT / ".env").read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def dockerfile_stages() -> dict[str, str]:
    """Returns the text of each stage of the Dockerfile, its comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", text, flags=re.MULTILINE)[1:]
    return {name: f"FROM {base}\n{body}" for base, name, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def image_variables(target: str) -> dict[str, str]:
    """Returns the variables that an image sets, those of the stages that it starts from included."""
    stages = dockerfile_stages()
    base, _, body = stages[target].removeprefix("FROM ").partition("\n")
    inherited = image_variables(base) if base in stages else {}
    words = " ".join(re.findall(r"^ENV ((?:.*\\\n)*.*)$", body, flags=re.MULTILINE))
    return inherited | dict(re.findall(r"(\w+)=(\S+)", words))


def seconds(text: str) -> float:
    """Returns the seconds of a duration such as `20s`."""
    return float(text.removesuffix("s"))
