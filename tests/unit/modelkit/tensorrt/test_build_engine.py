"""`triptych model build-engine`, with a stand-in for TensorRT and one for nvidia-smi."""

import sys

import pytest
from engine_bench import NAME, Bench
from fakes.tensorrt import VERSION, FakeTensorRT


def test_a_plan_is_built_for_the_gpu_that_is_here(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """Its manifest says what it depends on; it takes the batches of config.pbtxt."""
    bench.add_gpu()
    done = bench.run("--level", "4")
    assert 0 == done.exit_code, done.output
    (about,) = bench.manifests()
    assert str(bench.engines / str(about["key"]) / "model.plan") in done.stdout.replace("\n", "")
    assert ("NVIDIA L4", "8.9", "595.10", VERSION, NAME, "1", 32, 8, "--builderOptimizationLevel=4") == tuple(
        about[field]
        for field in (
            "gpu",
            "compute_capability",
            "driver",
            "tensorrt",
            "model",
            "version",
            "max_batch_size",
            "opt_batch_size",
            "flags",
        )
    )
    (built,) = tensorrt.builds
    assert built.capability is None
    assert (1, 8, 32) == tuple(shape[0] for shape in built.shapes[1:])


def test_a_plan_is_built_once(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """The second run finds it; a damaged one is told and built again, and the timings of the first build help."""
    bench.add_gpu()
    bench.run()
    assert "is built already" in bench.run().stdout
    assert 1 == len(tensorrt.builds)
    (plan,) = bench.engines.glob("*/model.plan")
    plan.write_bytes(b"damaged")
    again = bench.run()
    assert "built in" in again.stdout
    assert "model.plan is not the plan that was built: its sha256 begins with" in again.stderr
    assert again.stderr.endswith("; the plan has to be built again\n")
    assert [b"", b"t"] == [build.timings for build in tensorrt.builds]
    assert b"a plan" == plan.read_bytes()


def test_timings_of_another_gpu_are_left_aside(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """TensorRT refuses them, and times anew."""
    bench.add_gpu()
    bench.run()
    (cache,) = bench.cache.glob("triptych/timings/tensorrt-*-NVIDIA-L4-8.9.cache")
    cache.write_bytes(b"of another GPU")
    bench.run("--opt-batch", "1")
    assert b"" == tensorrt.builds[-1].timings
    assert b"t" == cache.read_bytes()


def test_without_a_gpu_the_error_says_what_to_do(bench: Bench) -> None:
    """Whether TensorRT is installed does not matter: without a GPU it builds nothing."""
    refused = bench.run()
    assert 1 == refused.exit_code
    assert "there is no NVIDIA GPU here" in refused.stderr
    assert "let the Helm chart's Job do it" in refused.stderr
    assert not bench.engines.exists()


def test_tensorrt_rtx_builds_for_gpus_that_are_named(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """Each gets a plan of its own, which names no product."""
    done = bench.run("--runtime", "tensorrt-rtx", "--target", "sm89", "--target", "sm120")
    assert 0 == done.exit_code, done.output
    assert {("tensorrt-rtx", "", "8.9"), ("tensorrt-rtx", "", "12.0")} == {
        (each["runtime"], each["gpu"], each["compute_capability"]) for each in bench.manifests()
    }
    assert ["SM89", "SM120"] == [build.capability.name for build in tensorrt.builds]


REFUSALS = {
    "no GPU is named": (["--runtime", "tensorrt-rtx"], "say which GPUs to build for"),
    "no capability": (["--runtime", "tensorrt-rtx", "--target", "l4"], "it has to be like sm89"),
    "an unknown capability": (
        ["--runtime", "tensorrt-rtx", "--target", "sm20"],
        "builds for no sm20, only for sm89, sm",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_cannot_be_built_is_refused(bench: Bench, tensorrt: FakeTensorRT, what: str) -> None:
    """The error names the option and what it takes."""
    words, says = REFUSALS[what]
    refused = bench.run(*words)
    assert 1 == refused.exit_code
    assert says in refused.stderr
    assert not bench.engines.exists()


def test_tensorrt_builds_for_no_other_gpu(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """It times kernels, so it needs the GPU."""
    bench.add_gpu()
    refused = bench.run("--target", "sm90")
    assert "builds for the GPU that is here, NVIDIA L4 (sm89), not sm90" in refused.stderr


def test_a_graph_that_tensorrt_refuses_leaves_nothing(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """The error is TensorRT's own."""
    bench.add_gpu()
    tensorrt.refusal = "In node 3: no such thing"
    refused = bench.run()
    assert f"shapes: tensorrt {VERSION} does not read the graph: In node 3: no such thing" in refused.stderr
    assert not bench.engines.exists()


def test_an_unknown_version_is_refused(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """A file that was changed after it was published is, too."""
    assert "shapes has no version '7'" in bench.run(model="shapes:7").stderr
    (bench.repository / NAME / "1" / "model.onnx").write_bytes(b"another graph")
    assert "has changed since it was published" in bench.run().stderr


def test_a_configuration_without_a_largest_batch_is_refused(bench: Bench, tensorrt: FakeTensorRT) -> None:
    """The error names the file."""
    (bench.repository / NAME / "config.pbtxt").unlink()
    assert "config.pbtxt says no max_batch_size" in bench.run().stderr


def test_a_missing_package_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with a GPU and without TensorRT."""
    bench.add_gpu()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "pip install tensorrt-cu13" in bench.run().stderr
