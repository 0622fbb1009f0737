"""Signatures of manifests: who published a model, and that nobody has changed a word of its manifest since.

They are Ed25519 and nothing else. A signature names its key and no algorithm, so that nobody can choose a weaker one.
What is signed is the manifest's content, not its text: indentation and the order of keys may change.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from servicekit.manifest import Check, ManifestError, Signature

_LINE = re.compile(r"(?P<algorithm>\S+)\s+(?P<key>\S+)(\s+(?P<comment>.*))?")
_ALGORITHM = "ed25519"


class SignatureError(ManifestError):
    """Says which key or signature is missing or wrong."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """Returns the bytes that are signed: all of a manifest but its signature, written in the one way there is.

    Args:
        document: the manifest as JSON: keys sorted at every depth, no spaces, UTF-8.

    Raises:
        ValueError: it holds what JSON does not, such as infinity.
    """
    signed = {key: value for key, value in document.items() if key != "signature"}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Is the half of a pair of keys that everybody may know."""

    raw: bytes
    """32 bytes."""

    @property
    def id(self) -> str:
        """Returns the name that signatures call it by: 16 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def line(self) -> str:
        """Returns its line in a file of trusted keys."""
        return f"{_ALGORITHM} {self.raw.hex()} {self.id}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Reads a line such as `ed25519 64-HEXADECIMAL-DIGITS` with perhaps a comment behind.

        Raises:
            ValueError: it is not like that.
        """
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError("it is not like `ed25519 KEY`")
        if found["algorithm"] != _ALGORITHM:
            raise ValueError(f"{found['algorithm']!r} is no algorithm that signs manifests: only {_ALGORITHM} does")
        if re.fullmatch(r"[0-9a-f]{64}", found["key"]) is None:
            raise ValueError("its key is not 64 hexadecimal digits, in small letters")
        return cls(bytes.fromhex(found["key"]))

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Says whether the signature is this key's over the content."""
        # Loaded by those who ask for signatures only.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except InvalidSignature:
            return False
        return True


class TrustedKeys:
    """Is the keys of which one must have signed each manifest."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key.id: key for key in keys}

    def __contains__(self, key: PublicKey) -> bool:
        return self._keys.get(key.id) == key

    def check(self, path: Path, document: Mapping[str, Any], signature: Signature | None) -> None:
        """Lets a manifest pass that one of the keys has signed as it is.

        Args:
            path: the manifest's, for the error: its folder has the name of the model, or of the plan.
            document: its content as JSON.
            signature: the one in it.

        Raises:
            SignatureError: there is none, it is of another key, or something was changed after the manifest was signed.
        """
        trusted = ", ".join(self._keys)
        if signature is None:
            problem = f"`signature` is missing: nobody has signed it, and one of the trusted keys ({trusted}) must have"
        elif (key := self._keys.get(signature.key_id)) is None:
            problem = f"`signature.key_id` is {signature.key_id}, which is none of the trusted keys ({trusted})"
        elif not key.signed(canonical(document), bytes.fromhex(signature.value)):
            problem = f"`signature.value` is not what the key {key.id} signed: the manifest was changed after that"
        else:
            return
        raise SignatureError(f"{path} is not trusted: {problem}")


def read_trusted_keys(path: Path) -> TrustedKeys:
    """Reads a file with a public key a line; empty lines and those that begin with `#` do not count.

    Raises:
        SignatureError: it cannot be read, holds no key, or a line is none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(f"the file of trusted keys {path} cannot be read: {error}") from error
    keys = []
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(PublicKey.parse(line))
        except ValueError as error:
            raise SignatureError(f"line {number} of the file of trusted keys {path} is no key: {error}") from error
    if not keys:
        raise SignatureError(f"the file of trusted keys {path} holds no key, so no manifest could be trusted")
    return TrustedKeys(keys)


def checking(trusted_keys: Path | None) -> Check | None:
    """Returns what holds manifests against a file of trusted keys as it is now; None where no signature is asked for.

    Raises:
        SignatureError: the file is wrong.
    """
    return None if trusted_keys is None else read_trusted_keys(trusted_keys).check
