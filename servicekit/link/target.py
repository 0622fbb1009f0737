"""Where the replicas of a service are, as settings say it."""

from dataclasses import dataclass
from typing import Self

from servicekit.names import Address, parse_address

SCHEME = "link:"
_NAME = "///"


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
        addresses = [address for each in found if (address := parse_address(each.strip())) is not None]
        if len(addresses) < len(found):
            raise ValueError(f"{text!r} is not like `link:10.0.0.1:9001,10.0.0.2:9001` or `link:///preprocess:9001`")
        return cls(tuple(addresses), is_name)
