"""Generates the committed Python code of `protos/` into the package `triptych`; `--check` fails when it differs."""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROTOS = ROOT / "protos"
PLUGIN = Path(sys.executable).parent / "protoc-gen-mypy_grpc"


def protoc(sources: list[Path], target: Path, *kinds: str) -> None:
    """Runs protoc on `sources`, one output of each kind below `target`."""
    outputs = [f"--{kind}_out={target}" for kind in kinds]
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{PROTOS}",
        f"--plugin=protoc-gen-mypy_grpc={PLUGIN}",
        *outputs,
    ]
    subprocess.run([*command, *map(str, sources)], check=True, stderr=subprocess.PIPE, text=True)  # noqa: S603 (our own arguments)


def generate(target: Path) -> list[Path]:
    """Writes messages, service stubs and their types below `target` and returns the files, relative to it."""
    sources = sorted(PROTOS.rglob("*.proto"))
    protoc(sources, target, "python", "pyi")
    protoc([path for path in sources if "\nservice " in path.read_text()], target, "grpc_python", "mypy_grpc")
    return sorted(path.relative_to(target) for path in target.rglob("*_pb2*"))


def committed() -> list[Path]:
    """Returns the generated files of the working tree, relative to the root."""
    found = (ROOT / "triptych").rglob("*_pb2*.py*")
    return sorted(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts)


def main() -> int:
    """Generates in place, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the working tree, write nothing")
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch)
        fresh = generate(target)
        stale = [path for path in committed() if path not in fresh]
        changed = [p for p in fresh if not (ROOT / p).exists() or not filecmp.cmp(target / p, ROOT / p, shallow=False)]
        if check:
            for path in stale + changed:
                sys.stderr.write(f"{path} is not what protos/ generates: run `make gen`\n")
            return 1 if stale or changed else 0
        for path in stale:
            (ROOT / path).unlink()
        for path in changed:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / path, ROOT / path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
