"""Which GPU is here, as nvidia-smi tells, and which one an option names."""

from pathlib import Path

import pytest

from modelkit.tensorrt.gpu import Gpu, GpuError, gpu_here, named


def _smi(folder: Path, says: str) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    return str(program)


def test_the_driver_names_the_gpu(tmp_path: Path) -> None:
    """Several GPUs of one kind are one kind."""
    smi = _smi(tmp_path, "for gpu in 0 1; do echo 'NVIDIA L4, 8.9, 595.10'; done")
    here = gpu_here(smi)
    assert Gpu("8.9", "NVIDIA L4", "595.10") == here
    assert here is not None
    assert "sm89" == here.target


@pytest.mark.parametrize("says", ["echo 'No devices were found'", "echo 'no driver' >&2; exit 9"])
def test_no_gpu(tmp_path: Path, says: str) -> None:
    """A machine without a GPU, or without a driver, has none; one without the program neither."""
    assert gpu_here(_smi(tmp_path, says)) is None
    assert gpu_here(str(tmp_path / "missing")) is None


def test_several_kinds_are_refused(tmp_path: Path) -> None:
    """Which one TensorRT would take is not nvidia-smi's to say."""
    smi = _smi(tmp_path, "echo 'NVIDIA L4, 8.9, 595.10'; echo 'NVIDIA T4, 7.5, 595.10'")
    with pytest.raises(GpuError, match=r"several kinds \(NVIDIA L4, NVIDIA T4\)"):
        gpu_here(smi)


@pytest.mark.parametrize(("target", "capability"), [("sm75", "7.5"), ("sm120", "12.0")])
def test_an_option_names_a_capability(target: str, capability: str) -> None:
    """The last digit is the minor one."""
    assert Gpu(capability) == named(target)
    assert target == named(target).target


@pytest.mark.parametrize("target", ["89", "sm8.9", "sm8", "l4"])
def test_other_names_are_refused(target: str) -> None:
    """The error says how it is written."""
    with pytest.raises(GpuError, match="it has to be like sm89"):
        named(target)
