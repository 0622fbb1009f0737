"""A model repository small enough to compute by hand: 4 x 2 pixels in, five classes out."""

import json
from pathlib import Path
from typing import Any

MODEL = "tiny"
CLASSES = 5
HEIGHT, WIDTH = 2, 4
ROW_BYTES = HEIGHT * WIDTH * 3
LABELS = ("ant", "bee", "cat", "dog", "eel")


def manifest(name: str = MODEL, *, temperatures: dict[str, float] | None = None) -> dict[str, Any]:
    """Returns a manifest as plain data, one version per entry of `temperatures`."""
    artifact = {"file": "1/model.onnx", "format": "onnx", "precision": "fp32", "sha256": "0" * 64}
    return {
        "schema_version": 1,
        "name": name,
        "title": "Tiny",
        "description": "Five classes.",
        "license": "Apache-2.0",
        "source": {},
        "input": {"tensor": "image", "width": WIDTH, "height": HEIGHT, "crop": 1.0},
        "output": {"tensor": "logits", "classes": CLASSES},
        "versions": {
            version: {"artifacts": {"cpu": artifact}, "temperature": temperature}
            for version, temperature in (temperatures or {"1": 1.0}).items()
        },
    }


def write_model(root: Path, described: dict[str, Any]) -> Path:
    """Writes one model's folder and returns it."""
    folder = root / str(described["name"])
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(described))
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return folder
