"""Log lines for people: what the services write as JSON becomes one readable line; other text stays as it is."""

import json
from typing import Any

from rich.text import Text

NAME_STYLES = {
    "triton": "green",
    "preprocess": "cyan",
    "inference": "magenta",
    "postprocess": "blue",
    "experiments": "bright_blue",
    "gateway": "yellow",
}
LEVEL_STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red", "debug": "dim"}
_SHOWN_APART = frozenset({"timestamp", "level", "event", "exception"})
_LEFT_OUT = frozenset({"service", "trace_id", "span_id"})  # the prefix says it; too long to read
_LONGEST_ID = 12


def prefixed(title: str, line: str) -> Text:
    """Returns a line with the name of its process before it, in the process's colour."""
    return Text(f"{title:14} | ", NAME_STYLES.get(title.rpartition("-")[0], "")) + readable(line)


def readable(line: str) -> Text:
    """Returns a line as people read it: time, level, event and `key=value`, a traceback below."""
    record = _record(line)
    if record is None:
        return Text.from_ansi(line)
    level = str(record.get("level", ""))
    text = Text.assemble(
        (_clock(record), "dim"), " ", (f"{level:7} ", LEVEL_STYLES.get(level, "")), (str(record["event"]), "bold")
    )
    for key, value in record.items():
        if key not in _SHOWN_APART and key not in _LEFT_OUT:
            text.append(f" {key}=", "dim").append(_value(key, value))
    if exception := record.get("exception"):
        text.append(f"\n{exception}", "dim")
    return text


def moment(line: str) -> str:
    """Returns when a line was written, in a form that sorts; empty where the line does not say."""
    record = _record(line)
    stamp = str(record.get("timestamp", "")) if record else line[:20]
    return stamp.rstrip("Z") if stamp[:4].isdecimal() and stamp[10:11] == "T" else ""


def _record(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "event" in record else None


def _clock(record: dict[str, Any]) -> str:
    """Returns the time of day with milliseconds; in UTC, as Triton's own lines are."""
    return str(record.get("timestamp", ""))[11:23].rstrip("Z")


def _value(key: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if key.endswith("_id") and len(text) > _LONGEST_ID:
        return f"{text[: _LONGEST_ID - 1]}…"
    return repr(text) if isinstance(value, str) and (" " in text or not text) else text
