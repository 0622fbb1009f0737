"""How a client reaches a gateway over TLS."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from triptych.client.requests import HTTPS


@dataclass(frozen=True, slots=True)
class Tls:
    """Says whom a client trusts, and who it is itself where the gateway wants to know. All files are in PEM."""

    ca_file: Path | str | None = None
    """Authorities to trust; None trusts the public ones that gRPC knows."""
    cert_file: Path | str | None = None
    """The client's own certificate, with those between it and its authority."""
    key_file: Path | str | None = None
    """The private key of that certificate."""

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("A certificate and its key belong together: give cert_file and key_file, or neither.")

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of a channel.

        Raises:
            OSError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(_read(self.ca_file), _read(self.key_file), _read(self.cert_file))


def credentials(address: str, tls: Tls | None) -> grpc.ChannelCredentials | None:
    """Returns the credentials for a gateway's address; None when it is reached in plain text.

    Raises:
        OSError: a file cannot be read.
    """
    if tls is None and not address.startswith(HTTPS):
        return None
    return (tls or Tls()).credentials()


def _read(path: Path | str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
