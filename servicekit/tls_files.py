"""Certificates in files: read together and held against each other, so that none comes into use by halves."""

from dataclasses import dataclass
from pathlib import Path


class TlsError(ValueError):
    """Names the variable whose file cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class PemFile:
    """Is a file, and the variable that names it."""

    variable: str
    path: Path

    def read(self) -> bytes:
        """Returns what is in it.

        Raises:
            TlsError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self.error(f"{self.path} cannot be read: {error.strerror}.") from None

    def error(self, why: str) -> TlsError:
        """Returns the error that blames this file."""
        return TlsError(f"{self.variable}: {why}")


@dataclass(frozen=True, slots=True)
class Pem:
    """Is what the files hold."""

    certificate: bytes
    """The process's own certificate first, then those between it and its authority."""
    key: bytes
    authorities: bytes
    """Whom to trust; empty when nobody has to show a certificate."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Says where a certificate, its key, and the authorities to trust are."""

    certificate: PemFile
    key: PemFile
    authorities: PemFile | None = None

    def read(self) -> Pem:
        """Returns what the files hold; `expiry` says whether it is any good.

        Raises:
            TlsError: one cannot be read.
        """
        authorities = b"" if self.authorities is None else self.authorities.read()
        return Pem(self.certificate.read(), self.key.read(), authorities)

    def expiry(self, pem: Pem) -> float:
        """Returns when the first certificate of the chain ends, in Unix time.

        Raises:
            TlsError: a file holds something else than it should, or key and certificate do not belong together.
        """
        # Whoever has no TLS does not wait for these.
        from cryptography import x509  # noqa: PLC0415
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        try:
            chain = x509.load_pem_x509_certificates(pem.certificate)
        except ValueError:
            raise self.certificate.error(f"{self.certificate.path} holds no certificate in PEM.") from None
        try:
            key = load_pem_private_key(pem.key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise self.key.error(f"{self.key.path} holds no private key in PEM without a password.") from None
        if key.public_key() != chain[0].public_key():
            raise self.key.error(f"{self.key.path} is not the key of the certificate in {self.certificate.path}.")
        if self.authorities is not None:
            try:
                x509.load_pem_x509_certificates(pem.authorities)
            except ValueError:
                raise self.authorities.error(f"{self.authorities.path} holds no certificate in PEM.") from None
        return min(each.not_valid_after_utc.timestamp() for each in chain)
