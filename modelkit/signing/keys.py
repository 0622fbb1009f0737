"""Private keys, in PEM, for nobody's eyes but their owner's."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from servicekit.signatures import PublicKey, SignatureError

if TYPE_CHECKING:  # commands that sign nothing load no cryptography
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key(path: Path) -> PublicKey:
    """Makes a private key in a file that only its owner can read, and returns the public one.

    Raises:
        SignatureError: the file exists, which would be the end of its key, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SignatureError(f"{path} exists already, and a key that is overwritten is lost: choose another") from error
    except OSError as error:
        raise SignatureError(f"the key {path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return public_of(key)


def read_key(path: Path) -> "Ed25519PrivateKey":
    """Reads a private key.

    Raises:
        SignatureError: the file cannot be read, is no PEM, is encrypted, or holds a key of another algorithm.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SignatureError(f"the signing key {path} cannot be read: {error.strerror}") from error
    except TypeError as error:
        raise SignatureError(f"the signing key {path} is encrypted, and there is nobody to ask for a word") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"the signing key {path} is no private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"the signing key {path} is no Ed25519 key, and only those sign manifests")
    return key


def public_of(key: "Ed25519PrivateKey") -> PublicKey:
    """Returns the public half of a private key."""
    return PublicKey(key.public_key().public_bytes_raw())
