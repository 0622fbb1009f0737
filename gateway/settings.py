"""Settings of the gateway."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from gateway.requests import Limits
from servicekit.link.target import SCHEME, Target
from servicekit.settings import MIB, ProcessSettings, variable
from servicekit.tls_files import TlsFiles


class GatewaySettings(ProcessSettings):
    """Says where the services are, and what callers may ask for."""

    port: int = Field(default=8081, ge=0, le=65535)
    """gRPC port."""
    http_port: int = Field(default=8080, ge=0, le=65535)
    """HTTP port."""
    reflection: bool = True
    """Whether to serve gRPC reflection, so that grpcurl and the like find the API."""
    preprocess_target: str
    """Where the preprocess service is: a gRPC name such as `dns:///preprocess:8081` or
    `ipv4:127.0.0.1:9001,127.0.0.1:9002`; or, of its ports for links, `link:///preprocess:8082` or
    `link:127.0.0.1:9003,127.0.0.1:9004`."""
    inference_target: str
    """Where the inference service is."""
    postprocess_target: str
    """Where the postprocess service is."""
    default_model: str = "efficientnet_lite0"
    """Model of requests that name none."""
    max_images: int = Field(default=32, ge=1, le=64)
    """Images per request."""
    max_image_bytes: int = Field(default=16 * MIB, ge=1)
    """Bytes of one encoded image."""
    max_request_bytes: int = Field(default=32 * MIB, ge=1)
    """Bytes of all images of a request together; a JSON body, being base64, may have half as many again."""
    max_top_k: int = Field(default=1000, ge=1, le=1000)
    """Most predictions per image that a caller may ask for."""
    default_top_k: int = Field(default=5, ge=1)
    """Predictions per image when a caller does not say."""
    max_in_flight: int = Field(default=512, ge=1)
    """Images in work at the same time; a request above that is refused at once."""
    max_message_images: int = Field(default=8, ge=1, le=64)
    """Images that share a message to a service, once they have to wait for one."""
    max_messages: int = Field(default=2, ge=1)
    """Messages under way to each replica of a service before images wait, so that they go together; to the inference
    service at least one more than the instances that a replica of it finds on its Triton servers."""
    result_cache_bytes: int = Field(default=64 * MIB, ge=0)
    """Memory for answers that equal images get again; 0 computes each image, also equal ones at the same time."""
    result_cache_ttl_s: float = Field(default=300, gt=0)
    """Age at which an answer is forgotten."""
    max_body_bytes_in_flight: int = Field(default=512 * MIB, ge=MIB)
    """Bytes of all HTTP bodies that are held at the same time; a request that would exceed them is refused."""
    max_connections: int = Field(default=4096, ge=1)
    """HTTP connections at the same time; a further one is answered 503 and closed."""
    http_head_timeout_s: float = Field(default=10, gt=0)
    """How long a client may take over a request's headers."""
    http_idle_timeout_s: float = Field(default=30, ge=1)
    """How long a connection is kept open after an answer, in whole seconds."""
    probe_interval_s: float = Field(default=0.25, gt=0)
    """Pause between two checks of a service."""
    hold_s: float = Field(default=30, ge=0)
    """How long a request already in work waits, within its deadline, for a service that went away to come back."""

    experiments_target: str | None = None
    """Where the experiments service is, a gRPC name; by default there are no experiments, and nothing is kept of
    requests. Requests are answered also while it is away."""
    experiments_admin: bool = True
    """Whether callers of this gateway may change experiments, pins and the holdout, export feedback, give it as an
    annotator, and delete predictions."""
    prediction_log_share: float = Field(default=1, ge=0, le=1)
    """Part of the answers that are logged, at random. Those of requests that take part in an experiment always are."""
    prediction_log_margin: float = Field(default=0.1, ge=0, le=1)
    """Answers whose first two scores differ by less than this are uncertain, and always logged."""
    retain_images: Literal["none", "uncertain", "all"] = "none"
    """Which logged answers keep the image that they are about, for as long as the experiments service is told to, as it
    was sent: with its metadata, such as the place where it was taken."""
    max_shadows: int = Field(default=2, ge=0)
    """Requests that shadows answer at the same time; one that comes then, or while images wait, is not shown to any."""
    evidence_queue_bytes: int = Field(default=64 * MIB, ge=MIB)
    """Memory for what waits to be sent to the experiments service; what does not fit is dropped, and counted."""

    edge_tls_cert_file: Path | None = None
    """Certificate of the gateway, in PEM, its intermediate ones behind it, for HTTPS and for gRPC over TLS; with its
    key, or not at all. A new one is used without a restart."""
    edge_tls_key_file: Path | None = None
    """Private key of that certificate, in PEM."""
    edge_tls_client_ca_file: Path | None = None
    """Authorities, in PEM, of which every client must show a certificate; by default no client needs one."""

    @field_validator("preprocess_target", "inference_target", "postprocess_target")
    @classmethod
    def _check_target(cls, value: str) -> str:
        if value.startswith(SCHEME):
            Target.parse(value)
        return value

    @field_validator("experiments_target")
    @classmethod
    def _check_experiments_target(cls, value: str | None) -> str | None:
        if value and value.startswith(SCHEME):
            raise ValueError(f"links carry no streams, which exports are; it must be a gRPC name, not {value!r}")
        return value or None

    @model_validator(mode="after")
    def _check_defaults(self) -> Self:
        if self.default_top_k > self.max_top_k:
            raise ValueError(f"default_top_k ({self.default_top_k}) is above max_top_k ({self.max_top_k})")
        return self

    @model_validator(mode="after")
    def _check_edge_tls(self) -> Self:
        self._together("edge_tls_cert_file", "edge_tls_key_file")
        if self.edge_tls_client_ca_file is not None and self.edge_tls_cert_file is None:
            raise ValueError(f"{variable('edge_tls_client_ca_file')} needs {variable('edge_tls_cert_file')}")
        return self

    @property
    def edge_tls_files(self) -> TlsFiles | None:
        """Returns what TLS towards callers is made of; None without it."""
        return self._files("edge_tls_cert_file", "edge_tls_key_file", "edge_tls_client_ca_file")

    @property
    def limits(self) -> Limits:
        """Returns what a request may ask for."""
        return Limits(self.max_images, self.max_image_bytes, self.max_request_bytes, self.max_top_k, self.default_top_k)
