"""Wires the inference service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from servicekit.health import Readiness
from servicekit.manifest import Manifest, ManifestError, read_labels
from servicekit.repository import Models
from servicekit.service import Service
from servicekit.tls import INTERNAL, following
from services.inference.failures import RowOutcomes
from services.inference.metrics import shown
from services.inference.pool import CONDITION, TritonPool
from services.inference.servers import TritonServers
from services.inference.servicer import InferenceServicer
from services.inference.settings import InferenceSettings
from services.inference.triton import Triton
from triptych.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server

SERVICE = "triptych.inference.v1.InferenceService"
LIST_MODELS = f"/{SERVICE}/ListModels"
"""The gateway asks for it several times a second."""


@asynccontextmanager
async def open_service(settings: InferenceSettings) -> AsyncIterator[Service]:
    """Opens the service's resources, and closes them with the context.

    Raises:
        ManifestError: the model repository cannot be used.
    """
    models = Models(settings.model_repository, settings.trusted_keys)
    readiness = Readiness(CONDITION)
    async with following(INTERNAL, settings.tls_files) as tls:
        connect = partial(Triton, max_message_bytes=settings.max_message_bytes, tls=tls)
        servers = TritonServers(settings.triton_targets, connect)
        pool = TritonPool(servers, models, readiness, settings.probe_interval_s)
        labels = partial(read_model_labels, settings.model_repository)
        servicer = InferenceServicer(models, pool, settings.max_batch, RowOutcomes(), models.refresh, labels)
        register = partial(add_InferenceServiceServicer_to_server, servicer)
        async with models.running(), pool.running():
            with shown(pool, models):
                yield Service(SERVICE, register, readiness, probes=(LIST_MODELS,))


def read_model_labels(repository: Path, manifest: Manifest) -> tuple[str, ...]:
    """Returns the labels of a model; none while they cannot be read, such as in the moment of a publication."""
    try:
        return read_labels(repository / manifest.name, manifest)
    except (ManifestError, OSError):
        return ()
