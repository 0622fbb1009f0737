"""Options of a classify request, whatever shape brought them: refused when unknown, given twice or no number."""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from servicekit.errors import InvalidArgument, Reason

T = TypeVar("T")

OPTIONS = ("model", "version", "top_k", "min_score")

_INT32 = 2**31
_NUMBER = re.compile(r"[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]+)?")
_ALIASES = {"image": "image_base64", "content": "image_base64"}
"""Names that are further from what is meant than from something else."""


def unique(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Returns pairs as a dictionary.

    Raises:
        InvalidArgument: a name comes twice, and one of its values would have no effect.
    """
    values: dict[str, T] = {}
    for name, value in pairs:
        if name in values:
            raise InvalidArgument(f"{name[:64]!r} is given twice.", field=name[:64])
        values[name] = value
    return values


def refuse_unknown(names: Iterable[str], known: Collection[str], *, kind: str = "option", path: str = "") -> None:
    """Refuses the first name that is not known, and says which one is probably meant.

    Raises:
        InvalidArgument: there is such a name.
    """
    name = next((each[:64] for each in names if each not in known), None)
    if name is None:
        return
    alias = [each for each in [_ALIASES.get(name)] if each in known]
    meant = alias or difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {meant[0]!r}?" if meant else f"; there are {', '.join(known)}."
    text = f"There is no {kind} {path + name!r}{hint}"
    raise InvalidArgument(text, reason=Reason.FIELD_UNKNOWN, field=path + name)


def refuse_query(names: Iterable[str]) -> None:
    """Refuses every option in the query of a JSON body.

    Raises:
        InvalidArgument: there is one.
    """
    for name in names:
        raise InvalidArgument(
            f"With a JSON body {name[:64]} belongs into the body, not into the query.", field=name[:64]
        )


def read_options(texts: dict[str, str]) -> dict[str, Any]:
    """Reads options that came as text, in a query or a form.

    Raises:
        InvalidArgument: one is unknown, or should be a number and is none.
    """
    refuse_unknown(texts, OPTIONS)
    options: dict[str, Any] = dict(texts)
    if "top_k" in texts:
        options["top_k"] = read_number(texts["top_k"], int, "top_k")
    if "min_score" in texts:
        options["min_score"] = read_number(texts["min_score"], float, "min_score")
    return options


def within_int32(number: int) -> int:
    """Returns a number, or the border of what the message can hold, which is out of every option's range as well."""
    return max(-_INT32, min(number, _INT32 - 1))


def read_number(text: str, kind: type[int] | type[float], field: str) -> float:
    """Returns a number that came as text.

    Raises:
        InvalidArgument: it is none.
    """
    try:
        # Python would also read `1_000` and ` 5 `, which no other client means by a number.
        return kind(text if _NUMBER.fullmatch(text) else "")
    except ValueError:
        word = "whole number" if kind is int else "number"
        raise InvalidArgument(f"{field} must be a {word}; it is {text[:32]!r}.", field=field) from None
