"""Who signs, and whose signatures are taken over when a manifest is signed again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelkit.signing.keys import public_of, read_key
from servicekit.manifest import Signature
from servicekit.signatures import SignatureError, TrustedKeys, canonical, read_trusted_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Signer:
    """Signs manifests with a private key."""

    def __init__(self, key: "Ed25519PrivateKey", trusted: TrustedKeys | None = None) -> None:
        """Takes a key.

        Args:
            key: the private key.
            trusted: whose manifests may be changed and signed anew; by default this key's alone.
        """
        self._key = key
        self.public = public_of(key)
        self.trusted = trusted or TrustedKeys([self.public])

    def sign(self, document: Mapping[str, Any]) -> Signature:
        """Returns the signature of a manifest's content, given as JSON."""
        return Signature(key_id=self.public.id, value=self._key.sign(canonical(document)).hex())


def signer_of(signing_key: Path | None, trusted_keys: Path | None = None) -> Signer | None:
    """Returns who signs, from the files that the user names; None where nobody does.

    Raises:
        SignatureError: a file is wrong, or the services that trust these keys would refuse what this one signs.
    """
    if signing_key is None:
        return None
    trusted = None if trusted_keys is None else read_trusted_keys(trusted_keys)
    signer = Signer(read_key(signing_key), trusted)
    if signer.public not in signer.trusted:
        raise SignatureError(
            f"{signing_key} has the public key {signer.public.id}, which is not in {trusted_keys}: nobody who trusts "
            "those keys would take what it signs; add it there first"
        )
    return signer
