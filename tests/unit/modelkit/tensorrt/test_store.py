"""The engine store: the name of a plan says all that it depends on, and what is damaged is not there."""

from pathlib import Path

import pytest

from modelkit.tensorrt.store import EngineManifest, Source, find_engine, keep_engine, key_of

SOURCE = Source(
    onnx_sha256="1" * 64,
    runtime="tensorrt",
    tensorrt="11.4.0.106",
    gpu="NVIDIA L4",
    compute_capability="8.9",
    max_batch_size=32,
    opt_batch_size=8,
    flags="",
)
PLAN = b"a plan"
PLAN_SHA256 = "a27fa2bacd5796b82680016a6b8865a616a9e4f6b6a198d3776ddc07536e3158"
OTHERS = {
    "onnx_sha256": "2" * 64,
    "runtime": "tensorrt-rtx",
    "tensorrt": "11.5.0.1",
    "gpu": "NVIDIA L40S",
    "compute_capability": "9.0",
    "max_batch_size": 64,
    "opt_batch_size": 16,
    "flags": "--builderOptimizationLevel=4",
}


@pytest.mark.parametrize("field", Source.model_fields)
def test_whatever_a_plan_depends_on_is_in_its_key(field: str) -> None:
    """Another value of any field is another folder."""
    assert key_of(SOURCE) != key_of(SOURCE.model_copy(update={field: OTHERS[field]}))


def test_the_key_names_the_largest_batch() -> None:
    """People see which batches a plan takes; the same source is the same key."""
    assert key_of(SOURCE).endswith("-b32")
    assert key_of(SOURCE) == key_of(SOURCE.model_copy())


def _kept(engines: Path) -> EngineManifest:
    manifest = EngineManifest(
        **SOURCE.model_dump(),
        key=key_of(SOURCE),
        model="shapes",
        version="1",
        plan_sha256=PLAN_SHA256,
        driver="595.10",
        build_seconds=1.5,
    )
    assert PLAN == keep_engine(engines, manifest, PLAN).read_bytes()
    return manifest


def test_a_plan_that_was_kept_is_found(tmp_path: Path) -> None:
    """Plan and manifest stand in one folder, and nothing else stands in the store."""
    manifest = _kept(tmp_path / "engines")
    assert manifest == find_engine(tmp_path / "engines", manifest.key)
    assert [manifest.key] == [path.name for path in (tmp_path / "engines").iterdir()]


@pytest.mark.parametrize("damage", ["another plan", "no plan", "no manifest", "half a manifest"])
def test_a_damaged_plan_is_not_there(tmp_path: Path, damage: str) -> None:
    """It will be built again, in its place."""
    manifest = _kept(tmp_path)
    plan, about = (tmp_path / manifest.key / name for name in ("model.plan", "manifest.json"))
    match damage:
        case "another plan":
            plan.write_bytes(b"another plan")
        case "no plan":
            plan.unlink()
        case "no manifest":
            about.unlink()
        case _:
            about.write_text(about.read_text()[:40])
    assert find_engine(tmp_path, manifest.key) is None
    _kept(tmp_path)
    assert manifest == find_engine(tmp_path, manifest.key)
