"""Where the replicas of a service are, as settings say it."""

import re
from dataclasses import dataclass
from typing import Self

SCHEME = "link:"
_NAME = "///"
_ADDRESS = re.compile(r"(?:\[([^\]\s]+)\]|([^\s\[\]:/,]+)):(\d{1,5})")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """Is `link:10.0.0.1:9001,10.0.0.2:9001`, or `link:///preprocess:9001` for every address of a name."""

    addresses: tuple[Address, ...]
    """Each is a replica; or the one is a name, with a replica at every address behind it."""
    is_name: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes a target apart.

        Raises:
            ValueError: it is none.
        """
        listed = text.removeprefix(SCHEME)
        is_name = listed.startswith(_NAME)
        found = [listed.removeprefix(_NAME)] if is_name else listed.split(",")
        addresses = [address for each in found if (address := _address(each.strip())) is not None]
        if len(addresses) < len(found):
            raise ValueError(f"{text!r} is not like `link:10.0.0.1:9001,10.0.0.2:9001` or `link:///preprocess:9001`")
        return cls(tuple(addresses), is_name)


def _address(text: str) -> Address | None:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        return None
    return match[1] or match[2], int(match[3])
