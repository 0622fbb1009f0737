"""Reads the words of the command line that stand for shares, times and versions. Pure."""

import re

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")


def number(text: str, what: str) -> float:
    """Reads a number.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is a number, not {text!r}.") from None


def share(text: str, what: str) -> float:
    """Reads a share: `0.2`, or `20%`.

    Raises:
        ValueError: it is none from 0 to 1.
    """
    word = text.strip()
    value = number(word[:-1], what) / 100 if word.endswith("%") else number(word, what)
    if not 0 <= value <= 1:
        raise ValueError(f"{what} is a share from 0 to 1, or 0% to 100%, not {text!r}.")
    return value


def duration_s(text: str, what: str) -> float:
    """Reads a length of time: `90s`, `10m`, `2h`, `7d`, or seconds without a unit.

    Raises:
        ValueError: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{what} is a time such as 90s, 10m, 2h or 7d, not {text!r}.")
    return float(found[1]) * UNITS_S[found[2] or "s"]


def lasting_s(text: str, what: str) -> float:
    """Reads a length of time as `duration_s` does, which is not next to nothing.

    Raises:
        ValueError: it is none, or less than a second.
    """
    seconds = duration_s(text, what)
    if seconds < 1:
        raise ValueError(f"{what} is at least 1s, not {text!r}.")
    return seconds


def pair(text: str, like: str, separator: str = "=") -> tuple[str, str]:
    """Reads `NAME=VALUE`.

    Raises:
        ValueError: one of the two is missing.
    """
    name, _, value = (part.strip() for part in text.partition(separator))
    if not name or not value:
        raise ValueError(f"{text!r} is not like {like}.")
    return name, value


def arm(text: str) -> tuple[str, str, float | None]:
    """Reads `control=1:95`: name, version and weight, if one is given.

    Raises:
        ValueError: it has another shape.
    """
    name, version, weight = _versioned(text, "control=1:95, which is NAME=VERSION:WEIGHT")
    return name, version, number(weight, f"The weight in {text!r}") if weight else None


def shadow(text: str) -> tuple[str, str, float]:
    """Reads `c=2:20%`: name, version and share, which is all where none is given.

    Raises:
        ValueError: it has another shape.
    """
    name, version, part = _versioned(text, "c=2:0.2, which is NAME=VERSION:SHARE")
    return name, version, share(part, f"The share in {text!r}") if part else 1.0


def _versioned(text: str, like: str) -> tuple[str, str, str]:
    name, rest = pair(text, like)
    version, _, more = rest.partition(":")
    if not version.isdecimal():
        raise ValueError(f"{text!r} is not like {like}: the version is a decimal number.")
    return name, version, more


def weight(text: str) -> tuple[str, float]:
    """Reads `b=10`: an arm's name and its weight.

    Raises:
        ValueError: it has another shape.
    """
    name, value = pair(text, "b=10, which is ARM=WEIGHT")
    return name, number(value, f"The weight in {text!r}")


def slot(text: str) -> tuple[float, float]:
    """Reads `0:0.5`: where a part of a layer's keys begins and ends.

    Raises:
        ValueError: it has another shape, or no key lies in it.
    """
    words = pair(text, "0:0.5, which is BEGIN:END", ":")
    begin, end = share(words[0], "The begin of --slot"), share(words[1], "The end of --slot")
    if begin >= end:
        raise ValueError(f"The end of --slot is above its begin, unlike {text!r}: no key would take part.")
    return begin, end


def steps(text: str) -> list[float]:
    """Reads `0.01,5%,0.25`: shares, one after the other.

    Raises:
        ValueError: one of them is none.
    """
    return [share(step, "A step of --ramp") for step in text.split(",")]
