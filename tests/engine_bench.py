"""A model repository and an engine store, and the commands that build plans and look at them."""

import json
from pathlib import Path

from releases import release
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.publish import Card, publish
from servicekit.manifest import Output, Recipe

NAME = "shapes"
OTHERS = {
    "onnx_sha256": "2" * 64,
    "runtime": "tensorrt-rtx",
    "tensorrt": "11.5.0.1",
    "gpu": "NVIDIA L40S",
    "compute_capability": "9.0",
    "max_batch_size": 64,
    "opt_batch_size": 16,
    "flags": "--builderOptimizationLevel=4",
}
"""Another value of each field that a plan depends on."""
CARD = Card(
    name=NAME,
    title="Shapes",
    description="Tells shapes apart.",
    license="Apache-2.0",
    source={},
    input=Recipe(width=224, height=224, crop=1.0),
    output=Output(classes=2),
    labels=("circle", "square"),
)


class Bench:
    """Is a repository with a model, an engine store, and programs."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.engines, self.programs = folder / "models", folder / "engines", folder / "bin"
        self.cache = folder / "cache"
        self.programs.mkdir()
        publish(self.repository, CARD, release("1", b"a graph"))

    def add_gpu(self) -> None:
        """Puts an L4 into the machine."""
        smi = self.programs / "nvidia-smi"
        smi.write_text("#!/bin/sh\necho 'NVIDIA L4, 8.9, 595.10'\n")
        smi.chmod(0o755)

    def run(self, *words: str, model: str = NAME) -> Result:
        """Builds."""
        return self._command("build-engine", model, *words)

    def verify(self, *words: str) -> Result:
        """Looks at every plan of the store."""
        return self._command("verify-engines", *words)

    def manifests(self) -> list[dict[str, object]]:
        """Reads the manifests in the store."""
        return [json.loads(path.read_bytes()) for path in self.engines.glob("*/manifest.json")]

    def _command(self, *words: str) -> Result:
        folders = ("--repository", str(self.repository), "--engines", str(self.engines))
        return CliRunner().invoke(app, [*words, *folders])
