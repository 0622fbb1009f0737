"""Triton's `openvino` backend in Python: runs an ONNX (or OpenVINO IR) file on the CPU.

It carries the name of the native backend in NVIDIA's container and reads the same parameters, so that one config.pbtxt
serves on a laptop and there. It runs inside Triton's own environment: NumPy 1, OpenVINO, and Triton's stub.

Parameters (config.pbtxt), all optional:
    INFERENCE_NUM_THREADS: threads of one instance; by default what the environment's OPENVINO_THREADS says, and without
        that the instances share the cores that this process may use.
    NUM_STREAMS: groups that share the threads, each inferring a piece of the batch; by default (`AUTO`) one for every
        four threads.
    CACHE_DIR: folder for compiled models; by default one for each instance below the environment's OPENVINO_CACHE, and
        without that nothing is kept.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import triton_python_backend_utils as pb_utils

PIECE_SIZES = (8, 4, 2, 1)
"""Images per inference. Compiled for a fixed batch, a model takes about five sixths of the time that it takes with a
free one, and 4 images cost as much as 8, each: benchmarks/openvino_batches.py measures both."""
THREADS_PER_STREAM = 4

Tensors = dict[str, npt.NDArray[Any]]


class TritonPythonModel:
    """Serves one model: stacks all requests of a call, infers them in few pieces, and answers each by itself."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the configuration and compiles the model; what fails here fails the load, with its reason."""
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or "model.xml"
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._batched = config.get("max_batch_size", 0) > 0
        parameters = {"INFERENCE_NUM_THREADS": os.environ.get("OPENVINO_THREADS", "")}  # noqa: TID251 (Triton's, not ours)
        parameters |= _cache(args)
        parameters |= {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        path = Path(args["model_repository"]) / args["model_version"] / filename
        instances = sum(group.get("count", 1) for group in config.get("instance_group", [])) or 1
        self._engine = Engine(path, cpu_settings(parameters, instances), fixed_batches=self._batched)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request, in order; what is wrong with one never touches another.

        Triton drops cancelled requests when they leave its queue. Asking again here costs a message to the server for
        each request, more than what the few cancelled since then would save.
        """
        tensors = [self._read(request) for request in requests]
        refusals = [self._engine.refusal(each) for each in tensors]
        answers = self._infer([each for each, refusal in zip(tensors, refusals, strict=True) if not refusal])
        return [_refuse(refusal) if refusal else self._answer(next(answers)) for refusal in refusals]

    def _read(self, request: Any) -> Tensors:
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}

    def _infer(self, requests: list[Tensors]) -> Iterator[Tensors]:
        if not requests:
            return
        if not self._batched:
            yield from map(self._engine.infer, requests)
            return
        stacked = requests[0]
        if len(requests) > 1:
            stacked = {name: np.concatenate([tensors[name] for tensors in requests]) for name in self._inputs}
        outputs = self._engine.infer_batch(stacked)
        end = 0
        for tensors in requests:
            start, end = end, end + len(tensors[self._inputs[0]])
            yield {name: output[start:end] for name, output in outputs.items()}

    def _answer(self, outputs: Tensors) -> Any:
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, outputs[name]) for name in self._outputs])


class Engine:
    """Runs one model file.

    A batch of 13 runs as 8 + 4 + 1, each on the model compiled for that many images.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, fixed_batches: bool) -> None:
        self._streams: int = settings["NUM_STREAMS"]
        core = ov.Core()
        self._model = core.read_model(path)
        if fixed_batches:
            _set_batch(self._model, -1)
        sizes: tuple[int | None, ...] = PIECE_SIZES if fixed_batches else (None,)
        self._jobs = {size: self._compile(core, settings, size) for size in sizes}

    def _compile(self, core: ov.Core, settings: dict[str, Any], size: int | None) -> list[ov.InferRequest]:
        """Compiles the model for one batch size (None: as it is), with an infer request for each stream."""
        model = self._model.clone()
        if size is not None:
            _set_batch(model, size)
        compiled = core.compile_model(model, "CPU", settings)
        return [compiled.create_infer_request() for _ in range(self._streams)]

    def refusal(self, tensors: Tensors) -> str | None:
        """Says what is wrong with a request, if anything: Triton checks no size that the configuration leaves open."""
        for name, array in tensors.items():
            expected = self._model.input(name).partial_shape
            if not expected.compatible(ov.PartialShape(array.shape)):
                return f"input '{name}' has shape {list(array.shape)}; the model wants {expected.to_string()}"
        return None

    def infer(self, tensors: Tensors) -> Tensors:
        """Infers one request of a model without a batch dimension."""
        (outputs,) = _run([(self._jobs[None][0], tensors)])
        return outputs

    def infer_batch(self, stacked: Tensors) -> Tensors:
        """Infers a batch of any size, at least 1."""
        rows = len(next(iter(stacked.values())))
        outputs: list[Tensors] = []
        for size, pieces in self._plan(rows):
            cut = [{name: array[piece] for name, array in stacked.items()} for piece in pieces]
            outputs.extend(_run(list(zip(self._jobs[size], cut, strict=False))))
        if len(outputs) == 1:
            return outputs[0]
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

    def _plan(self, rows: int) -> Iterator[tuple[int, list[slice]]]:
        """Cuts a batch into waves of equal pieces, one piece per stream, that leave no stream without work for long."""
        start = 0
        while start < rows:
            left = rows - start
            size = next(size for size in PIECE_SIZES if size <= math.ceil(left / self._streams))
            count = min(self._streams, left // size)
            yield size, [slice(start + i * size, start + (i + 1) * size) for i in range(count)]
            start += count * size


def cpu_settings(parameters: dict[str, str], instances: int = 1) -> dict[str, Any]:
    """Turns a model's parameters into OpenVINO's settings.

    Threads of one inference wait for each other, the more so when there are more of them than cores. So `instances`,
    which infer at the same time, share the cores instead of each taking all.
    """
    wanted = parameters.get("INFERENCE_NUM_THREADS", "")
    if wanted and not (wanted.isdecimal() and int(wanted) > 0):
        raise ValueError(f"INFERENCE_NUM_THREADS or OPENVINO_THREADS is {wanted!r}, not a number of threads")
    threads = int(wanted) if wanted else max(1, usable_cores() // instances)
    streams = parameters.get("NUM_STREAMS", "AUTO").upper()
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": max(1, threads // THREADS_PER_STREAM) if streams == "AUTO" else int(streams),
        "ENABLE_CPU_PINNING": False,  # pinned, every such process on a machine computes on core 0
        **({"CACHE_DIR": parameters["CACHE_DIR"]} if "CACHE_DIR" in parameters else {}),
    }


def _cache(args: dict[str, str]) -> dict[str, str]:
    """Has compiled models kept, where the environment says where: compiling is most of the time that loading takes.

    Each instance has a folder of its own, since OpenVINO writes its files in place.
    """
    folder = os.environ.get("OPENVINO_CACHE", "")  # noqa: TID251 (Triton's, not ours)
    return {"CACHE_DIR": str(Path(folder) / args["model_instance_name"])} if folder else {}


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Counts the cores that this process may keep busy: its affinity, or its container's quota where that is less."""
    cores = len(os.sched_getaffinity(0))
    for quota_us, period_us in _quotas(cgroup):
        if quota_us > 0:
            cores = min(cores, math.ceil(quota_us / period_us))
    return cores


def _quotas(cgroup: Path) -> Iterator[tuple[int, int]]:
    unified, legacy = cgroup / "cpu.max", cgroup / "cpu"
    if unified.exists():
        quota, period = unified.read_text().split()
        yield (-1 if quota == "max" else int(quota)), int(period)
    elif (legacy / "cpu.cfs_quota_us").exists():
        yield int((legacy / "cpu.cfs_quota_us").read_text()), int((legacy / "cpu.cfs_period_us").read_text())


def _set_batch(model: ov.Model, size: int) -> None:
    """Sets the first dimension of every input; -1 leaves it free."""
    model.reshape({port.any_name: ov.PartialShape([size, *list(port.partial_shape)[1:]]) for port in model.inputs})


def _run(work: list[tuple[ov.InferRequest, Tensors]]) -> list[Tensors]:
    """Runs inferences at the same time and returns their outputs.

    When one fails, the others are waited for all the same: they read their inputs until they end, and none may still
    be busy when the next batch comes.
    """
    if len(work) == 1:
        return [_infer(*work[0])]
    started: list[ov.InferRequest] = []
    try:
        for job, tensors in work:
            _start(job, tensors)
            started.append(job)
        return [_wait(job) for job in started]
    finally:
        for job in started:
            with contextlib.suppress(Exception):  # the first failure is on its way already
                job.wait()


def _infer(job: ov.InferRequest, tensors: Tensors) -> Tensors:
    """Runs one inference in this thread, which spares handing it to another and back: 0.08 ms."""
    for name, array in tensors.items():
        job.set_tensor(name, ov.Tensor(array, shared_memory=True))
    job.infer(share_outputs=True)
    return _outputs(job)


def _start(job: ov.InferRequest, tensors: Tensors) -> None:
    job.start_async({name: ov.Tensor(array, shared_memory=True) for name, array in tensors.items()}, share_inputs=True)


def _wait(job: ov.InferRequest) -> Tensors:
    """Waits for an inference and copies its outputs, which the next inference overwrites."""
    job.wait()
    return _outputs(job)


def _outputs(job: ov.InferRequest) -> Tensors:
    return {port.any_name: job.get_tensor(port).data.copy() for port in job.model_outputs}


def _refuse(reason: str) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(reason, pb_utils.TritonError.INVALID_ARG))
