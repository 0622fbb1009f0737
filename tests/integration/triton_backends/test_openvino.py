"""The `openvino` backend in the real Triton, on small networks whose answers are known."""

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import openvino as ov
import pytest
import tritonclient.grpc as client
from openvino import opset13 as ops
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from localcluster.environment import triton_directory
from localcluster.triton_command import TritonEndpoints, triton_command
from localcluster.triton_runtime import ensure_runtime

pytestmark = pytest.mark.timeout(180)

INSTANCES = "instance_group [ { count: 2 kind: KIND_CPU } ]"
BATCHED = f"max_batch_size: 64 dynamic_batching {{ }} {INSTANCES}"
ROWS = 'input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]'
DOUBLED = 'output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]'
PARAMETER = 'parameters {{ key: "{}" value {{ string_value: "{}" }} }} '
TWO_STREAMS = PARAMETER.format("INFERENCE_NUM_THREADS", 2) + PARAMETER.format("NUM_STREAMS", 2)


def _double(shape: list[int]) -> ov.Model:
    x = ops.parameter(shape, np.float32, name="x")
    y = ops.multiply(x, ops.constant(np.float32(2)))
    x.output(0).set_names({"x"})
    y.output(0).set_names({"y"})
    return ov.Model([y], [x], "double")


def _pair() -> ov.Model:
    a, b = ops.parameter([-1, 2], np.float32, name="a"), ops.parameter([-1, 3], np.uint8, name="b")
    total = ops.reduce_sum(a, ops.constant([1]), keep_dims=True)
    copy = ops.convert(b, np.int32)
    for port, name in ((a, "a"), (b, "b"), (total, "total"), (copy, "copy")):
        port.output(0).set_names({name})
    return ov.Model([total, copy], [a, b], "pair")


def _mean() -> ov.Model:
    picture = ops.parameter([-1, -1, -1, 3], np.float32, name="picture")
    mean = ops.reduce_mean(picture, ops.constant([1, 2]), keep_dims=False)
    picture.output(0).set_names({"picture"})
    mean.output(0).set_names({"mean"})
    return ov.Model([mean], [picture], "mean")


def _mixed() -> ov.Model:
    x = ops.parameter([-1, 3], np.float32, name="x")
    y = ops.reduce_mean(x, ops.constant([0]), keep_dims=True)
    x.output(0).set_names({"x"})
    y.output(0).set_names({"y"})
    return ov.Model([y], [x], "mixed")


PAIR = """
input [ { name: "b" data_type: TYPE_UINT8 dims: [ 3 ] }, { name: "a" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "copy" data_type: TYPE_INT32 dims: [ 3 ] }, { name: "total" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
MEAN = """
input [ { name: "picture" data_type: TYPE_FP32 dims: [ -1, -1, 3 ] } ]
output [ { name: "mean" data_type: TYPE_FP32 dims: [ 3 ] } ]
"""
LOOSE = (ROWS + DOUBLED).replace("[ 3 ]", "[ -1 ]")
SERVED = {
    "double": (_double([-1, 3]), BATCHED + ROWS + DOUBLED),
    "streams": (_double([-1, 3]), BATCHED + ROWS + DOUBLED + TWO_STREAMS),
    "fixed": (_double([1, 3]), BATCHED + ROWS + DOUBLED),
    "pair": (_pair(), BATCHED + PAIR),
    "mean": (_mean(), BATCHED + MEAN),
    "vector": (_double([-1]), BATCHED + ROWS + DOUBLED),
    "loose": (_double([-1, 3]), BATCHED + LOOSE),
    "uncached": (
        _double([-1, 3]),
        BATCHED + ROWS + DOUBLED + PARAMETER.format("CACHE_DIR", "/proc/nothing/can/be/made/here"),
    ),
    "plain": (_double([-1, 3]), f"max_batch_size: 0 {INSTANCES} {ROWS} {DOUBLED}".replace("[ 3 ]", "[ -1, 3 ]")),
}
REFUSED = {
    "name": (_double([-1, 3]), BATCHED + ROWS.replace('"x"', '"image"') + DOUBLED, "the model has no input 'image'"),
    "output": (_double([-1, 3]), BATCHED + ROWS + DOUBLED.replace('"y"', '"logits"'), "no output 'logits'"),
    "type": (
        _double([-1, 3]),
        BATCHED + ROWS.replace("FP32", "UINT8") + DOUBLED,
        "'x' has another data_type in config.pbtxt than in the model",
    ),
    "count": (_pair(), BATCHED + ROWS.replace('"x"', '"a"') + DOUBLED, "the model has 2 inputs, config.pbtxt 1"),
    "string": (_double([-1, 3]), BATCHED + ROWS.replace("FP32", "STRING") + DOUBLED, "'x' is TYPE_STRING"),
    "threads": (
        _double([-1, 3]),
        BATCHED + ROWS + DOUBLED + PARAMETER.format("INFERENCE_NUM_THREADS", "many"),
        "INFERENCE_NUM_THREADS or OPENVINO_THREADS is 'many', not a number of threads",
    ),
    "lanes": (
        _double([-1, 3]),
        BATCHED + ROWS + DOUBLED + PARAMETER.format("NUM_STREAMS", 0),
        "NUM_STREAMS is '0', neither AUTO nor a number of streams",
    ),
    "many": (
        _double([-1, 3]),
        BATCHED + ROWS + DOUBLED + PARAMETER.format("NUM_STREAMS", 1000000),
        "NUM_STREAMS is '1000000', neither AUTO nor a number of streams",
    ),
    "mixed": (_mixed(), BATCHED + ROWS + DOUBLED, "output 'y' has not one row for each row of the inputs"),
    "absent": (None, BATCHED + ROWS + DOUBLED, "OpenVINO cannot read the model"),
}


@dataclass
class Server:
    """Is a running Triton."""

    port: int
    log: Path

    def infer(self, model: str, inputs: dict[str, Any], wanted: tuple[str, ...] = ()) -> dict[str, Any]:
        """Sends one request, on a connection of its own; without `wanted` every output comes back."""
        tensors = []
        for name, array in inputs.items():
            tensor = client.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        outputs = [client.InferRequestedOutput(name) for name in wanted] or None
        with client.InferenceServerClient(f"127.0.0.1:{self.port}") as triton:
            answer = triton.infer(model, tensors, outputs=outputs, client_timeout=30)
        return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Lends a Triton with every model of SERVED; those of REFUSED it could not load."""
    repository = tmp_path_factory.mktemp("models")
    for name, (model, config, *_) in {**SERVED, **REFUSED}.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(f'name: "{name}" backend: "openvino" {config}')
        if model is not None:
            ov.save_model(model, repository / name / "1" / "model.xml")
    endpoints = TritonEndpoints(grpc_port=_free_port(), metrics_port=_free_port())
    argv, environment = triton_command(ensure_runtime(triton_directory()), repository, endpoints, ["*"])
    log = tmp_path_factory.mktemp("log") / "triton.log"
    with log.open("wb") as output, subprocess.Popen(argv, env=environment, stdout=output, stderr=output) as process:
        try:
            _wait(process, log)
            yield Server(endpoints.grpc_port, log)
        finally:
            process.terminate()
            assert 0 == process.wait(30), log.read_text()[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while "Started Metrics Service" not in log.read_text():
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)


def _rows(count: int, first: float = 0) -> Any:
    return np.arange(first, first + count * 3, dtype=np.float32).reshape(count, 3)


@pytest.mark.parametrize("model", ["double", "streams", "fixed"])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 13, 33, 64])
def test_batches_of_any_size_keep_their_order(server: Server, model: str, rows: int) -> None:
    """However a batch is cut into pieces, its rows come back in order."""
    assert np.array_equal(2 * _rows(rows), server.infer(model, {"x": _rows(rows)})["y"])


@pytest.mark.parametrize("model", ["double", "streams"])
def test_requests_that_are_stacked_get_their_own_rows(server: Server, model: str) -> None:
    """Requests of different sizes come together: none gets another's rows, and Triton counts every row once."""
    batches = [_rows(1 + index % 9, first=1000 * index) for index in range(200)]
    before = _counted(server, model)
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda batch: server.infer(model, {"x": batch})["y"], batches))
    assert all(np.array_equal(2 * batch, answer) for batch, answer in zip(batches, answers, strict=True))
    rows, executions = (now - then for now, then in zip(_counted(server, model), before, strict=True))
    assert sum(map(len, batches)) == rows
    assert executions < len(batches), "some of them were inferred together"


def _counted(server: Server, model: str) -> tuple[int, int]:
    with client.InferenceServerClient(f"127.0.0.1:{server.port}") as triton:
        counts = triton.get_inference_statistics(model).model_stats[0]
    return counts.inference_count, counts.execution_count


def test_inputs_and_outputs_go_by_their_names(server: Server) -> None:
    """The configuration may list them in another order than the file; types differ."""
    a, b = np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 2, 3], [255, 0, 7]], np.uint8)
    answer = server.infer("pair", {"a": a, "b": b})
    assert [[3], [7]] == answer["total"].tolist()
    assert ("int32", b.tolist()) == (str(answer["copy"].dtype), answer["copy"].tolist())


def test_only_what_is_asked_for_comes_back(server: Server) -> None:
    """An output that nobody asks for is not sent."""
    inputs = {"a": np.ones((1, 2), np.float32), "b": np.ones((1, 3), np.uint8)}
    assert {"copy"} == server.infer("pair", inputs, ("copy",)).keys()


def test_pictures_of_any_size(server: Server) -> None:
    """Where the file leaves dimensions open, requests of different shapes are never stacked on each other."""
    rng = np.random.default_rng(1)
    pictures = [rng.random((1 + i % 3, 1 + i % 5, 1 + i % 4, 3), np.float32) for i in range(60)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda each: server.infer("mean", {"picture": each})["mean"], pictures))
    for picture, answer in zip(pictures, answers, strict=True):
        np.testing.assert_allclose(picture.mean(axis=(1, 2)), answer, rtol=1e-3)


@pytest.mark.parametrize("rows", [1, 5, 2])
def test_models_without_a_batch(server: Server, rows: int) -> None:
    """The whole shape is the request's own."""
    assert np.array_equal(2 * _rows(rows), server.infer("plain", {"x": _rows(rows)})["y"])


def test_what_the_model_does_not_take_is_refused(server: Server) -> None:
    """The sentence names the input and both shapes; whoever was stacked with it is answered."""
    wrong = np.zeros((2, 4), np.float32)
    with ThreadPoolExecutor(8) as threads:
        good = [threads.submit(server.infer, "loose", {"x": _rows(2)}) for _ in range(20)]
        bad = [threads.submit(server.infer, "loose", {"x": wrong}) for _ in range(20)]
        assert all(np.array_equal(2 * _rows(2), each.result()["y"]) for each in good)
        for each in bad:
            with pytest.raises(InferenceServerException, match=r"input 'x' has shape \[2, 4\]; the model wants .*3"):
                each.result()


@pytest.mark.parametrize("model", sorted(REFUSED))
def test_what_does_not_fit_its_configuration_is_not_loaded(server: Server, model: str) -> None:
    """Triton's log says why."""
    (line,) = (each for each in server.log.read_text().splitlines() if f"failed to load '{model}' version 1" in each)
    assert REFUSED[model][2] in line


def test_a_request_of_endless_rows_is_refused(server: Server) -> None:
    """Triton lets -1 rows pass where another dimension is 0: it is refused here, and both instances go on."""
    empty = service_pb2.ModelInferRequest.InferInputTensor(name="picture", datatype="FP32", shape=[-1, 0, 5, 3])
    request = service_pb2.ModelInferRequest(model_name="mean", inputs=[empty], raw_input_contents=[b""])
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        triton = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(3):
            with pytest.raises(grpc.RpcError, match="rows, not 1 to 64"):
                triton.ModelInfer(request, timeout=10)
    assert [[1, 1, 1]] == server.infer("mean", {"picture": np.ones((1, 2, 2, 3), np.float32)})["mean"].tolist()


def test_a_cache_that_cannot_be_used_costs_time_only(server: Server) -> None:
    """The model is compiled without it."""
    assert np.array_equal(2 * _rows(2), server.infer("uncached", {"x": _rows(2)})["y"])


def test_a_vector_has_rows_alone(server: Server) -> None:
    """A file whose rows are numbers is loaded; a request with more dimensions is refused, and nothing is hurt."""
    with pytest.raises(InferenceServerException, match=r"input 'x' has shape \[1, 3\]"):
        server.infer("vector", {"x": _rows(1)})
    assert np.array_equal(2 * _rows(1), server.infer("double", {"x": _rows(1)})["y"])
