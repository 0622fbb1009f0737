"""Settings: frozen, typed, read once from the environment, printed with secrets masked.

Every process reads variables that begin with `TRIPTYCH_`: `TRIPTYCH_PORT` sets `port`. Nothing else reads them.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from servicekit.tls_files import PemFile, TlsFiles

MIB = 1024 * 1024
PREFIX = "TRIPTYCH_"


class SettingsError(ValueError):
    """Names every variable that is wrong, and why."""


class ProcessSettings(BaseSettings):
    """Holds what every process can be told; each service adds its own fields."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=0, ge=0, le=65535)
    """gRPC port; 0 takes a free one, which `announce_file` tells."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for machines to watch the process over plain HTTP: `/healthz`, `/readyz`, and `/metrics` for Prometheus; 0
    takes a free one."""
    announce_file: Path | None = None
    """Where to write the ports in use, as JSON, once the process listens."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_format: Literal["json", "console"] = "json"
    """JSON for machines, or lines for people."""
    request_log: bool = True
    """Whether to log one line per RPC; failures are logged in any case."""
    otlp_endpoint: str | None = None
    """Where traces are sent, as OTLP over HTTP: `http://collector:4318`; by default nothing is traced."""
    trace_sample_ratio: float = Field(default=0.01, ge=0, le=1)
    """Share of the requests to trace, of those that come to the gateway without a trace; one that brings it says so."""
    reflection: bool = False
    """Whether to serve gRPC reflection."""
    max_message_bytes: int = Field(default=64 * MIB, ge=MIB)
    """Largest message, in and out."""
    default_timeout_s: float = Field(default=10, gt=0)
    """Deadline of a request that brings none."""
    max_timeout_s: float = Field(default=60, gt=0)
    """Latest deadline a caller may ask for; a later one is shortened."""
    max_connection_age_s: float = Field(default=300, gt=0)
    """gRPC connections are closed, gently, at about this age, so that clients see new replicas."""
    drain_delay_s: float = Field(default=0.2, ge=0)
    """Pause between 'not ready' and the refusal of new work, so that callers have turned away by then."""
    drain_timeout_s: float = Field(default=15, gt=0)
    """How long accepted work may take after that."""
    tls_cert_file: Path | None = None
    """Certificate of this process, in PEM, its intermediate ones behind it, for TLS in both directions between our own
    processes and to Triton (docs/tls.md); with the two below, or not at all. A new one is used without a restart."""
    tls_key_file: Path | None = None
    """Private key of that certificate, in PEM."""
    tls_ca_file: Path | None = None
    """Authorities whose certificates our processes accept from each other, in PEM."""

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        self._together("tls_cert_file", "tls_key_file", "tls_ca_file")
        return self

    @property
    def tls_files(self) -> TlsFiles | None:
        """Returns what TLS between our processes is made of; None without it."""
        return self._files("tls_cert_file", "tls_key_file", "tls_ca_file")

    def _together(self, *fields: str) -> None:
        lacking = [variable(name) for name in fields if getattr(self, name) is None]
        if 0 < len(lacking) < len(fields):
            raise ValueError(f"{' and '.join(map(variable, fields))} belong together; {lacking[0]} is not set")

    def _files(self, certificate: str, key: str, authorities: str) -> TlsFiles | None:
        found = [getattr(self, name) for name in (certificate, key, authorities)]
        pems = [
            None if path is None else PemFile(variable(name), path)
            for name, path in zip((certificate, key, authorities), found, strict=True)
        ]
        return None if pems[0] is None or pems[1] is None else TlsFiles(pems[0], pems[1], pems[2])

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_otlp_endpoint(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"https?://[^/@?#\s]+(/[^?#\s]*)?", value):
            raise ValueError("it is not like `http://collector:4318`")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _check_timeouts(self) -> Self:
        if self.default_timeout_s > self.max_timeout_s:
            raise ValueError(f"default_timeout_s ({self.default_timeout_s:g}) is above max_timeout_s")
        return self

    @classmethod
    def load(cls) -> Self:
        """Reads the environment.

        Raises:
            SettingsError: a variable is missing or has a wrong value.
        """
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError("; ".join(_explain(cls, item) for item in error.errors())) from None

    def describe(self) -> dict[str, Any]:
        """Returns all values as plain data, secrets masked."""
        return self.model_dump(mode="json")


class ServiceSettings(ProcessSettings):
    """Holds what every service behind the gateway can be told."""

    link_port: int | None = Field(default=None, ge=0, le=65535)
    """Port for links, which cost less than gRPC does (docs/adr/0013); 0 takes a free one; by default there is none."""
    tls_allowed_callers: Annotated[tuple[str, ...], NoDecode] = ()
    """DNS names, separated by commas, of which a caller's certificate must hold one, over gRPC and over links; by
    default every certificate of `tls_ca_file` will do."""
    trusted_keys: Path | None = None
    """File with public keys, one a line, of which one must have signed each model's manifest (docs/publishing.md); a
    new one is used without a restart. By default, or empty, no signature is asked for."""

    @field_validator("tls_allowed_callers", mode="before")
    @classmethod
    def _split_callers(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("trusted_keys", mode="before")
    @classmethod
    def _no_keys(cls, value: object) -> object:
        return value or None  # a path of no letters would be the current folder


def variable(field: str) -> str:
    """Returns the environment variable that sets a field."""
    return PREFIX + field.upper()


def _explain(cls: type[BaseSettings], item: Any) -> str:
    if not item["loc"]:  # several fields together
        return str(item["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in item["loc"])
    annotation = cls.model_fields[name].annotation if name in cls.model_fields else None
    secret = SecretStr in (annotation, *get_args(annotation))
    given = "" if item["type"] == "missing" or secret else f", not {item['input']!r}"
    return f"{variable(name)}: {item['msg']}{given}"
