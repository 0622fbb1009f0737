"""Writes `docs/settings.md` from the settings classes; `--check` fails when the page differs."""

import argparse
import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from gateway.settings import GatewaySettings
from servicekit.settings import ProcessSettings, variable
from services.experiments.settings import ExperimentsSettings
from services.inference.settings import InferenceSettings
from services.postprocess.settings import PostprocessSettings
from services.preprocess.settings import PreprocessSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
SERVICES: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "preprocess": PreprocessSettings,
    "inference": InferenceSettings,
    "postprocess": PostprocessSettings,
    "experiments": ExperimentsSettings,
}
HEAD = """# Settings

Written by `make gen` from the settings classes. Every process reads environment variables once, at its start; a value
that is missing or wrong ends it with a sentence that names the variable. `triptych up` passes its own environment on to
the processes, where it does not set a variable itself.
"""


def table(title: str, fields: dict[str, FieldInfo]) -> str:
    """Returns one section of the page."""
    rows = [f"| `{variable(name)}` | {_default(field)} | {_text(field, name)} |" for name, field in fields.items()]
    return "\n".join([f"\n## {title}\n", "| variable | default | means |", "| --- | --- | --- |", *rows]) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "from the machine"
    return f"`{field.default}`" if field.default is not None else "none"


def _text(field: FieldInfo, name: str) -> str:
    return " ".join((field.description or name.replace("_", " ")).split())


def page() -> str:
    """Returns the whole page."""
    common = ProcessSettings.model_fields
    own = {
        name: {
            key: field for key, field in cls.model_fields.items() if key not in common or _differs(field, common[key])
        }
        for name, cls in SERVICES.items()
    }
    return HEAD + table("Every process", common) + "".join(table(name, fields) for name, fields in own.items())


def _differs(field: FieldInfo, common: FieldInfo) -> bool:
    return bool(field.default != common.default)


def main() -> int:
    """Writes, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the page, write nothing")
    if parser.parse_args().check:
        if not PAGE.exists() or PAGE.read_text() != page():
            sys.stderr.write("docs/settings.md is not what the settings classes say: run `make gen`\n")
            return 1
        return 0
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
