"""Requests: images from anywhere, in calls that the gateway takes."""

import io
from pathlib import Path

import pytest

from triptych.client import requests
from triptych.client.requests import ImageSource, Query, gateway_address, read_image, split, target_name


def test_images_come_from_anywhere(tmp_path: Path) -> None:
    """Bytes, memory, paths and open files are all images."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"jpeg")
    sources: list[ImageSource] = [
        b"jpeg",
        bytearray(b"jpeg"),
        memoryview(b"jpeg"),
        path,
        str(path),
        io.BytesIO(b"jpeg"),
    ]
    assert [b"jpeg"] * 6 == [read_image(source) for source in sources]


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text")])
def test_anything_else_is_refused(source: object) -> None:
    """What cannot hold an image is refused with what could."""
    with pytest.raises(TypeError, match="'rb'"):
        read_image(source)  # type: ignore[arg-type]


def test_absent_options_stay_absent() -> None:
    """An option that was not given is not sent, so the gateway's default holds."""
    request = Query().request([b"a"])
    assert not request.HasField("top_k")
    assert not request.HasField("min_score")


def test_zero_is_sent() -> None:
    """A zero is an option like any other, and is the gateway's to refuse."""
    request = Query(top_k=0, min_score=0.0).frame(7, b"a")
    assert (True, True, 7) == (request.HasField("top_k"), request.HasField("min_score"), request.frame)


def test_many_images_take_several_calls() -> None:
    """No call holds more images than the gateway takes."""
    assert [32, 32, 1] == [len(run) for run in split([b""] * 65)]


def test_large_images_take_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call holds more bytes than the gateway takes, unless one image does."""
    monkeypatch.setattr(requests, "BYTES_PER_CALL", 3)
    assert [[b"aa"], [b"bb", b"c"], [b"dddd"], [b"e"]] == list(split([b"aa", b"bb", b"c", b"dddd", b"e"]))


def test_no_images_take_no_call() -> None:
    """An empty list is not sent."""
    assert [] == list(split([]))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("localhost:8081", "dns:///localhost:8081"),
        ("dns:///gateway:8081", "dns:///gateway:8081"),
        ("unix:/run/gateway", "unix:/run/gateway"),
        ("https://gateway:443", "dns:///gateway:443"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
    ],
)
def test_host_and_port_are_resolved_by_dns(target: str, name: str) -> None:
    """A plain address is looked up again and again; gRPC's own names stay as they are."""
    assert name == target_name(target)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("localhost", "localhost:8081"),
        ("gateway:1", "gateway:1"),
        ("::1", "[::1]:8081"),
        ("[::1]", "[::1]:8081"),
        ("[::1]:9", "[::1]:9"),
        ("https://gateway.example", "https://gateway.example:443"),
        ("https://gateway.example:8081/", "https://gateway.example:8081"),
        ("unix:/run/gateway", "unix:/run/gateway"),
    ],
)
def test_the_port_may_be_left_out(target: str, address: str) -> None:
    """An address without a port means the gateway's usual one."""
    assert address == gateway_address(target)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://localhost:8080", "web address"),
        ("https://localhost/x", "host and a port"),
        ("", "host and a port"),
        (":8081", "host and a port"),
        ("a:", "host and a port"),
        ("a:b", "host and a port"),
        ("a:65536", "host and a port"),
        ("localhost/x", "host and a port"),
    ],
)
def test_what_is_no_address_is_refused(target: str, said: str) -> None:
    """A target that cannot be a gRPC address is refused before anything connects, with an example."""
    with pytest.raises(ValueError, match=rf"{said}.*") as caught:
        gateway_address(target)
    assert "localhost:8081" in str(caught.value)
