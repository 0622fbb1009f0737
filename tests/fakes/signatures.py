"""Keys that are the same in every run, and manifests that they have signed."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelkit.signing.signer import Signer
from servicekit.signatures import TrustedKeys


def signer(seed: int = 1, *also: Signer) -> Signer:
    """Returns a publisher; each seed is another one. It also trusts others."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return Signer(key, TrustedKeys([Signer(key).public, *(each.public for each in also)]))


def signed(described: dict[str, Any], by: Signer) -> dict[str, Any]:
    """Returns a manifest, as plain data, with a signature."""
    return {**described, "signature": by.sign(described).model_dump()}


def write_trusted(path: Path, *signers: Signer) -> Path:
    """Writes a file of trusted keys, by a rename, and returns its path."""
    scratch = path.with_suffix(".new")
    scratch.write_text("".join(f"{each.public.line}\n" for each in signers))
    return scratch.replace(path)
