"""The engine store: the name of a plan says all that it depends on, and what is damaged does not count."""

from pathlib import Path

import pytest
from engine_bench import OTHERS

from modelkit.tensorrt.manifest import EngineError, EngineManifest, Source, key_of
from modelkit.tensorrt.store import EngineStore

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


@pytest.mark.parametrize("field", Source.model_fields)
def test_whatever_a_plan_depends_on_is_in_its_key(field: str) -> None:
    """Another value of any field is another folder."""
    assert key_of(SOURCE) != key_of(SOURCE.model_copy(update={field: OTHERS[field]}))


def test_the_key_names_the_largest_batch() -> None:
    """People see which batches a plan takes; the same source is the same key."""
    assert key_of(SOURCE).endswith("-b32")
    assert key_of(SOURCE) == key_of(SOURCE.model_copy())


def _kept(store: EngineStore) -> EngineManifest:
    manifest = EngineManifest(
        **SOURCE.model_dump(),
        key=key_of(SOURCE),
        model="shapes",
        version="1",
        plan_sha256=PLAN_SHA256,
        driver="595.10",
        build_seconds=1.5,
    )
    assert manifest == store.keep(manifest, PLAN)
    assert PLAN == store.plan(manifest.key).read_bytes()
    return manifest


def test_a_plan_that_was_kept_is_found(tmp_path: Path) -> None:
    """Plan and manifest stand in one folder, and nothing else stands in the store."""
    store = EngineStore(tmp_path / "engines")
    assert store.find(key_of(SOURCE)) is None
    manifest = _kept(store)
    assert manifest == store.find(manifest.key)
    assert [manifest.key] == store.list_keys() == [path.name for path in (tmp_path / "engines").iterdir()]


DAMAGES = {
    "another plan": r"model\.plan is not the plan that was built: its sha256 begins with 77ddfb898d26, .*a27fa2bacd57",
    "no plan": r"model\.plan cannot be read: No such file",
    "no manifest": r"manifest\.json cannot be read: No such file",
    "half a manifest": r"manifest\.json is not a valid manifest: EOF",
    "another field": r"`max_batch_size`: Input should be greater than or equal to 1; `speed`: Extra inputs",
    "another name": r"manifest\.json is of another plan: its `key` is [0-9a-f]{32}-b32",
    "another GPU": r"`key` in .*-b32/manifest\.json is .*, but what the plan depends on has the key",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_plan_does_not_count(tmp_path: Path, damage: str) -> None:
    """The error names what is wrong; a new plan takes its place."""
    store = EngineStore(tmp_path)
    key = _kept(store).key
    plan, about = (tmp_path / key / name for name in ("model.plan", "manifest.json"))
    found = key
    match damage:
        case "another plan":
            plan.write_bytes(b"another plan")
        case "no plan":
            plan.unlink()
        case "no manifest":
            about.unlink()
        case "another field":
            about.write_text(about.read_text().replace('"max_batch_size": 32', '"max_batch_size": 0, "speed": 1'))
        case "another name":
            found = about.parent.rename(tmp_path / "other").name
        case "another GPU":
            about.write_text(about.read_text().replace("NVIDIA L4", "NVIDIA L40S"))
        case _:
            about.write_text(about.read_text()[:40])
    with pytest.raises(EngineError, match=DAMAGES[damage]):
        store.find(found)
    assert _kept(store) == store.find(key)
