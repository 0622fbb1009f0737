"""Each process as it is started for real: it listens, and SIGTERM ends it well."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.neighbours import Neighbours
from fakes.processes import running_process
from fakes.repository import manifest, write_model
from fakes.servers import connected, eventually, free_port
from grpc_health.v1 import health_pb2, health_pb2_grpc

MODULES = ["services.preprocess", "services.inference", "services.postprocess", "gateway"]


@pytest.mark.parametrize("module", MODULES)
async def test_a_process_starts_and_ends(tmp_path: Path, module: str) -> None:
    """The process announces its ports, is alive whatever it waits for, and ends with status 0."""
    write_model(tmp_path / "models", manifest())
    away = f"127.0.0.1:{free_port()}"
    targets = {f"{tier}_target": f"ipv4:{away}" for tier in ("preprocess", "inference", "postprocess")}
    variables = {"model_repository": tmp_path / "models", "triton_targets": away, "http_port": 0, **targets}
    async with running_process(module, tmp_path, **variables) as process:
        async with connected(process.ports["grpc"]) as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{process.ports['metrics']}", trust_env=False
        ) as client:
            alive = (await client.get("/healthz")).text
        status = await process.terminated()

        assert (health_pb2.HealthCheckResponse.SERVING, "alive\n", 0) == (health.status, alive, status)


async def test_sigterm_loses_no_http_request(tmp_path: Path) -> None:
    """A request over HTTP that is in work when the signal arrives is answered."""

    async def slow(_request: Any, response: Any) -> Any:
        await asyncio.sleep(0.5)
        return response

    async with Neighbours().running() as behind:
        behind.inference.answer = slow
        targets = {
            f"{tier}_target": getattr(behind, tier).target for tier in ("preprocess", "inference", "postprocess")
        }
        async with (
            running_process("gateway", tmp_path, http_port=0, default_model="tiny", **targets) as process,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.ports['http']}", trust_env=False) as client,
        ):

            async def ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await eventually(ready)
            call = asyncio.ensure_future(client.post("/api/v1/classify", json={"image_base64": "YQ=="}))
            await eventually(lambda: bool(behind.inference.requests))
            ended = asyncio.ensure_future(process.terminated())

            assert (200, 0) == ((await call).status_code, await ended)
