"""TLS in a local cluster: what the user's environment says of it, as far as Triton and the supervisor have to know."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc

from localcluster.environment import given

_FILES = ("TRIPTYCH_TLS_CERT_FILE", "TRIPTYCH_TLS_KEY_FILE", "TRIPTYCH_TLS_CA_FILE")
_EDGE = "TRIPTYCH_EDGE_TLS_CERT_FILE"


@dataclass(frozen=True, slots=True)
class LocalTls:
    """Is the certificate that all processes of the cluster show each other."""

    cert_file: str
    key_file: str
    ca_file: str

    @classmethod
    def wanted(cls) -> Self | None:
        """Returns what the environment names; None where it names none, or not all, which the processes refuse."""
        files = given(_FILES)
        return cls(*(files[name] for name in _FILES)) if len(files) == len(_FILES) else None

    def triton_flags(self) -> list[str]:
        """Returns the flags with which Triton asks callers for a certificate and shows its own; it reads them once."""
        return [
            "--grpc-use-ssl=true",
            "--grpc-use-ssl-mutual=true",
            f"--grpc-server-cert={self.cert_file}",
            f"--grpc-server-key={self.key_file}",
            f"--grpc-root-cert={self.ca_file}",
        ]

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns what opens a channel to one of the processes.

        Raises:
            OSError: a file cannot be read.
        """
        authorities, key, certificate = (
            Path(name).read_bytes() for name in (self.ca_file, self.key_file, self.cert_file)
        )
        return grpc.ssl_channel_credentials(authorities, key, certificate)


def edge_wanted() -> bool:
    """Says whether the environment has the gateway speak TLS."""
    return bool(given((_EDGE,)))
