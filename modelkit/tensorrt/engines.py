"""Builds the plans of a published version and keeps them in the engine store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelkit.release.versions import find_version, model_bytes
from modelkit.signing.files import check_files, sha256_of
from modelkit.tensorrt.api import Runtime, TensorRT, load
from modelkit.tensorrt.building import Built, RefusedError, Wanted, build
from modelkit.tensorrt.gpu import Gpu, GpuError, gpu_here, named
from modelkit.tensorrt.manifest import EngineError, EngineManifest, Source, key_of
from modelkit.tensorrt.store import EngineStore
from modelkit.train.files import write_atomically
from modelkit.triton_config import read_max_batch_size
from servicekit.xdg import cache_home

_NO_GPU = (
    "there is no NVIDIA GPU here (nvidia-smi finds none), and TensorRT builds a plan only on the kind of GPU that will "
    "run it. Run this on such a machine, or let the Helm chart's Job do it (engine.kind: tensorrt). "
    "--runtime tensorrt-rtx --target sm89 builds without a GPU, for programs that use TensorRT-RTX; Triton does not"
)


@dataclass(frozen=True, slots=True)
class Order:
    """Says what to build."""

    name: str
    """Of the model."""
    version: str = ""
    """Empty for the live one."""
    runtime: Runtime = "tensorrt"
    targets: tuple[str, ...] = ()
    """GPUs such as `sm89`; none for the one that is here."""
    opt_batch: int | None = None
    """Pictures for which plans are tuned; None for a quarter of the largest batch."""
    level: int | None = None
    """Of the builder's optimisation, 0 to 5."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Is a plan in the store."""

    plan: Path
    manifest: EngineManifest
    fresh: bool
    """Whether it was built now."""


def build_engines(repository: Path, store: EngineStore, order: Order, tell: Callable[[str], None]) -> Iterator[Engine]:
    """Builds a plan of a published version for each GPU; a plan that is there and counts is not built again.

    Args:
        repository: the model repository, whose manifests have to be trusted as the plans' have.
        store: keeps the plans.
        order: what to build.
        tell: hears, before a plan is built again, why the one that is there does not count.

    Raises:
        GpuError: there is no GPU to build for.
        RuntimeMissingError: the runtime is not installed.
        RefusedError: TensorRT does not take the graph.
        GateError: the version's file is not the one that was published.
        PublishError: there is no such version.
        ManifestError: the model's manifest is wrong, or not to be trusted.
        SignatureError: nobody would sign a plan that has to be signed.
        ValueError: its configuration says no largest batch.
    """
    folder = repository / order.name
    manifest, version = find_version(repository, order.name, order.version, store.check)
    if store.check is not None:
        check_files(folder, manifest, [version])  # config.pbtxt says the largest batch
    onnx = model_bytes(folder, manifest, version)
    max_batch = read_max_batch_size(folder / "config.pbtxt")
    gpus = _gpus(order)
    trt = load(order.runtime)
    for gpu in gpus:
        source = _source(order, onnx, trt, gpu, max_batch)
        known = _known(store, key_of(source), tell)
        if known is not None:
            yield Engine(store.plan(known.key), known, fresh=False)
            continue
        store.check_signer(key_of(source))
        built = _built(trt, order, onnx, source)
        facts = {"model": order.name, "version": version, "driver": gpu.driver}
        yield _kept(store, source, built, facts)


def _known(store: EngineStore, key: str, tell: Callable[[str], None]) -> EngineManifest | None:
    try:
        return store.find(key)
    except EngineError as error:
        tell(f"{error}; the plan has to be built again")
        return None


def _gpus(order: Order) -> list[Gpu]:
    if order.runtime == "tensorrt-rtx" and order.targets:
        return [named(target) for target in order.targets]
    here = gpu_here()
    if here is None:
        raise GpuError(_NO_GPU if order.runtime == "tensorrt" else "say which GPUs to build for, such as --target sm89")
    others = sorted({*order.targets} - {here.target})
    if others:
        raise GpuError(f"TensorRT builds for the GPU that is here, {here.product} ({here.target}), not {others[0]}")
    return [here]


def _source(order: Order, onnx: bytes, trt: TensorRT, gpu: Gpu, max_batch: int) -> Source:
    return Source(
        onnx_sha256=sha256_of(onnx),
        runtime=order.runtime,
        tensorrt=trt.__version__,
        gpu=gpu.product if order.runtime == "tensorrt" else "",
        compute_capability=gpu.compute_capability,
        max_batch_size=max_batch,
        opt_batch_size=min(order.opt_batch or -(-max_batch // 4), max_batch),
        flags="" if order.level is None else f"--builderOptimizationLevel={order.level}",
    )


def _built(trt: TensorRT, order: Order, onnx: bytes, source: Source) -> Built:
    target = Gpu(source.compute_capability).target if source.runtime == "tensorrt-rtx" else ""
    wanted = Wanted(source.max_batch_size, source.opt_batch_size, target, order.level)
    cache = _timings(source)
    try:
        built = build(trt, onnx, wanted, cache.read_bytes() if cache.exists() else b"")
    except RefusedError as error:
        raise RefusedError(f"{order.name}: {source.runtime} {source.tensorrt} {error}") from error
    if built.timings:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, built.timings)
    return built


def _timings(source: Source) -> Path:
    """Names the timing cache: timings hold for one kind of GPU and one TensorRT."""
    place = f"{source.gpu}-{source.compute_capability}".replace(" ", "-").replace("/", "-").strip("-")
    return cache_home() / "triptych" / "timings" / f"{source.runtime}-{source.tensorrt}-{place}.cache"


def _kept(store: EngineStore, source: Source, built: Built, facts: dict[str, str]) -> Engine:
    manifest = EngineManifest(
        **source.model_dump(),
        **facts,
        key=key_of(source),
        plan_sha256=sha256_of(built.plan),
        build_seconds=round(built.seconds, 3),
    )
    return Engine(store.plan(manifest.key), store.keep(manifest, built.plan), fresh=True)
