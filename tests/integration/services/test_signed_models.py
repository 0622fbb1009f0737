"""Services that ask for signatures, as real processes: what nobody vouches for neither starts them nor reaches them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from fakes.processes import Process, running_process
from fakes.servers import connected, eventually, free_port
from fakes.signatures import signer, write_trusted
from fakes.tensors import encode
from releases import CARD, ONE, TWO

from modelkit.publish import publish, set_default
from servicekit.signatures import SignatureError
from triptych.postprocess.v1 import postprocess_service_pb2 as pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as pb_grpc

ME = signer()
MODULES = ["services.preprocess", "services.inference", "services.postprocess"]


@dataclass
class Shelf:
    """Is a model repository, and whom the services trust."""

    root: Path
    trusted: Path

    @property
    def manifest(self) -> Path:
        """Returns the path of the only manifest."""
        return self.root / "shapes" / "manifest.json"

    def flip(self) -> None:
        """Replaces one letter of the manifest, in place of a publisher, by a rename."""
        scratch = self.root / "scratch"
        scratch.write_text(self.manifest.read_text().replace('"Shapes"', '"Shaper"'))
        scratch.replace(self.manifest)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Returns a repository with a signed version of a model."""
    publish(tmp_path / "models", CARD, ONE, ME)
    return Shelf(tmp_path / "models", write_trusted(tmp_path / "trusted", ME))


@asynccontextmanager
async def service(module: str, shelf: Shelf, folder: Path) -> AsyncIterator[Process]:
    """Runs a service that asks for signatures."""
    away = f"127.0.0.1:{free_port()}"
    variables = {"model_repository": shelf.root, "trusted_keys": shelf.trusted, "triton_targets": away}
    async with running_process(module, folder, **variables) as process:
        yield process


@pytest.mark.parametrize("module", MODULES)
async def test_a_signed_model_is_served(shelf: Shelf, tmp_path: Path, module: str) -> None:
    """The process starts, and ends when it is told to."""
    async with service(module, shelf, tmp_path) as process:
        assert 0 == await process.terminated()


@pytest.mark.parametrize("module", MODULES)
async def test_nobody_starts_with_a_flipped_letter(shelf: Shelf, tmp_path: Path, module: str) -> None:
    """The process ends with status 1 and a sentence that names model, field and reason."""
    shelf.flip()
    async with service(module, shelf, tmp_path) as process:
        last = process.log.read_text().splitlines()[-1]
        assert (1, {}) == (await process.process.wait(), process.ports)
    assert "shapes/manifest.json is not trusted: `signature.value` is not what the key" in last


async def test_what_was_live_stays_live(shelf: Shelf, tmp_path: Path) -> None:
    """A manifest with one flipped letter is logged and counted, and changes no answer; the next signed one counts."""
    async with (
        service("services.postprocess", shelf, tmp_path) as process,
        connected(process.ports["grpc"]) as channel,
    ):
        assert grpc.StatusCode.OK is await _code(channel, "1")
        publish(shelf.root, CARD, TWO, ME)
        assert grpc.StatusCode.OK is await _code(channel, "2")
        good = shelf.manifest.read_text()
        shelf.flip()
        await eventually(lambda: _refused(process) == 1)
        assert "shapes/manifest.json is not trusted" in str([line.get("problem") for line in process.lines()])
        with pytest.raises(SignatureError):
            set_default(shelf.root, "shapes", "1", ME)
        assert grpc.StatusCode.OK is await _code(channel, "2")
        shelf.manifest.write_text(good)
        set_default(shelf.root, "shapes", "1", ME)
        publish(shelf.root, CARD, replace(TWO, version="3"), ME)
        assert grpc.StatusCode.OK is await _code(channel, "3")
        assert 1 == _refused(process)


async def _code(channel: grpc.aio.Channel, version: str) -> grpc.StatusCode:
    logits = encode(np.zeros((1, 2), np.float32))
    request = pb.RankLabelsRequest(model="shapes", version=version, logits=logits, options=[pb.RankOptions(top_k=1)])
    call = pb_grpc.PostprocessServiceStub(channel).RankLabels(request, timeout=5)
    return await call.code()


def _refused(process: Process) -> float:
    text = httpx.get(f"http://127.0.0.1:{process.ports['metrics']}/metrics", trust_env=False).text
    name = 'triptych_repository_refused_total{reason="signature"} '
    return float(next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name))
