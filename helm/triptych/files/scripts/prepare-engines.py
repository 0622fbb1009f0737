#!/usr/bin/env python3
"""Builds the TensorRT plans of a model store on this machine's GPU, and lays out the repository that serves them.

    prepare-engines.py STORE ENGINES REPOSITORY

For docker-compose.yml. On Kubernetes the chart's values say which versions there are; here the manifests of the store
do. Both say it in the same words to build-engines.sh and lay-out-repository.sh. VERSIONS chooses: `default` is of each
model the one that answers requests which name none, `all` every one. IMAGE names the image that this runs in,
TRTEXEC_FLAGS are trtexec's. It uses nothing but Python's own library: NVIDIA's image has no more.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent


def main() -> int:
    """Runs both scripts. Returns the exit code of the first that fails."""
    store, engines, repository = sys.argv[1:]
    gpu = hardware()
    words = [word for manifest in manifests(Path(store)) for word in described(manifest, gpu)]
    return run("build-engines.sh", store, engines, *words) or run(
        "lay-out-repository.sh", "tensorrt", "none", "0", store, engines, repository, *words
    )


def manifests(store: Path) -> list[dict[str, Any]]:
    """Returns what each model of the store says of itself."""
    found = [json.loads(path.read_text()) for path in sorted(store.glob("*/manifest.json"))]
    return found or sys.exit(f"prepare-engines: {store} holds no model with a manifest.json")


def described(manifest: dict[str, Any], gpu: str) -> Iterator[str]:
    """Yields model, version, file, sha256 and key of each chosen version: the words of both scripts."""
    for version in chosen(manifest):
        artifacts = manifest["versions"][version]["artifacts"].values()
        onnx = next((each for each in artifacts if each["format"] == "onnx"), None)
        if onnx is None:
            sys.exit(f"prepare-engines: {manifest['name']} {version} has no ONNX file to build a plan of")
        yield from (manifest["name"], version, onnx["file"], onnx["sha256"])
        yield key(manifest["name"], version, onnx["sha256"], gpu)


def chosen(manifest: dict[str, Any]) -> list[str]:
    """Returns the versions to serve."""
    if os.environ.get("VERSIONS", "default") == "all":
        return list(manifest["versions"])
    return [manifest.get("default_version") or max(manifest["versions"], key=int)]


def key(model: str, version: str, sha256: str, gpu: str) -> str:
    """Returns the name of a plan, a hash of what the chart hashes: all that it depends on and no script adds."""
    parts = (model, version, sha256, os.environ.get("IMAGE", ""), gpu, os.environ.get("TRTEXEC_FLAGS", ""))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def hardware() -> str:
    """Returns name and compute capability of the GPU."""
    command = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        sys.exit("prepare-engines: nvidia-smi shows no GPU here, and a plan is built on the GPU that will run it")


def run(script: str, *words: str) -> int:
    """Runs a script, which is told when this process shall end. Returns its exit code."""
    with subprocess.Popen(("bash", str(SCRIPTS / script), *words)) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        return child.wait()


if __name__ == "__main__":
    sys.exit(main())
