"""The names that `modelkit.tensorrt.api` types are those of the real bindings of TensorRT 11 and of TensorRT-RTX."""

from collections.abc import Iterator
from importlib import metadata

import pytest

from modelkit.tensorrt import api

CLASSES: dict[type, str] = {
    api.Tensor: "ITensor",
    api.Network: "INetworkDefinition",
    api.Parser: "OnnxParser",
    api.Profile: "IOptimizationProfile",
    api.TimingCache: "ITimingCache",
    api.Config: "IBuilderConfig",
    api.Builder: "Builder",
}
PORTABLE: dict[type, str] = {api.PortableConfig: "IBuilderConfig"}
"""Only of TensorRT-RTX."""


def _members(protocol: type) -> Iterator[str]:
    for name in {*vars(protocol), *vars(protocol).get("__annotations__", {})}:
        if not name.startswith("_"):
            yield name


def _names(classes: dict[type, str]) -> list[tuple[str, str]]:
    return sorted((real, name) for protocol, real in classes.items() for name in _members(protocol))


TENSORRT = sorted({*CLASSES.values(), *_members(api.TensorRT), "__version__", *(name for _, name in _names(CLASSES))})


@pytest.mark.parametrize(("real", "name"), [*_names(CLASSES), *_names(PORTABLE)])
def test_tensorrt_rtx_has_the_name(real: str, name: str) -> None:
    """The class of the real module has it."""
    assert hasattr(getattr(api.load("tensorrt-rtx"), real), name)


@pytest.mark.parametrize("name", sorted({*_members(api.TensorRT), *_members(api.TensorRTRTX), "__version__"}))
def test_tensorrt_rtx_has_the_class(name: str) -> None:
    """The real module has it."""
    assert hasattr(api.load("tensorrt-rtx"), name)


@pytest.fixture(scope="module")
def bindings() -> bytes:
    """Returns the bindings of TensorRT itself; importing them would want its libraries, which nothing here needs."""
    package = "tensorrt-cu13-bindings"
    assert metadata.version(package).startswith("11.")
    (file,) = (each for each in metadata.files(package) or [] if each.name == "tensorrt.so")
    return file.read_binary()


def _has(bindings: bytes, name: str) -> bool:
    """Says whether a C string is in there, or ends another one: linkers keep such a string only once."""
    return name.encode() + b"\0" in bindings


@pytest.mark.parametrize("name", [*TENSORRT, "ignore_mismatch"])
def test_tensorrt_has_the_name(bindings: bytes, name: str) -> None:
    """The bindings of TensorRT 11 register it under this very name."""
    assert _has(bindings, name)


@pytest.mark.parametrize("name", ["set_compute_capability", "num_compute_capabilities", "int8_calibrator"])
def test_tensorrt_lacks_other_names(bindings: bytes, name: str) -> None:
    """What is only TensorRT-RTX's, or was of TensorRT 10, is not in there: the look tells the difference."""
    assert not _has(bindings, name)
