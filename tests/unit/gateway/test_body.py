"""The three shapes of a classify request over HTTP."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request

from gateway.http.body import parse
from gateway.http.parsed import Parsed
from servicekit.errors import InvalidArgument, Reason

IMAGE = bytes(range(256))


async def _parse(body: bytes, media_type: str, query: str = "", chunk: int = 2**16) -> Parsed:
    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    headers = [(b"content-type", media_type.encode())] if media_type else []
    scope = {"type": "http", "method": "POST", "headers": headers, "query_string": query.encode(), "app": None}
    return await parse(Request(scope, receive))


@pytest.mark.parametrize("media_type", ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "application/octet-stream"])
async def test_a_raw_body_is_the_image(media_type: str) -> None:
    """Every byte of the body is the image; options come from the query."""
    parsed = await _parse(IMAGE, media_type, "top_k=3&model=m&version=2&min_score=.5")
    request = parsed.request

    assert (IMAGE, 3, "m", "2", 0.5, True) == (
        parsed.contents[0],
        request.top_k,
        request.model,
        request.version,
        request.min_score,
        parsed.single,
    )


@pytest.mark.parametrize("media_type", ["", "text/plain", "video/mp4", "application/x-www-form-urlencoded", "imag"])
async def test_other_media_types_are_refused(media_type: str) -> None:
    """The sentence lists what is taken."""
    with pytest.raises(InvalidArgument, match="application/json, image/") as caught:
        await _parse(IMAGE, media_type)

    assert Reason.MEDIA_TYPE_UNSUPPORTED == caught.value.reason


@pytest.mark.parametrize(
    ("reason", "field", "query"),
    [
        (Reason.FIELD_UNKNOWN, "topk", "topk=3"),
        (Reason.FIELD_INVALID, "top_k", "top_k=many"),
        (Reason.FIELD_INVALID, "top_k", "top_k=2.5"),
        (Reason.FIELD_INVALID, "top_k", "top_k="),
        (Reason.FIELD_INVALID, "top_k", "top_k=" + "9" * 5000),
        (Reason.FIELD_INVALID, "min_score", "min_score=half"),
        (Reason.FIELD_INVALID, "top_k", "top_k=1&top_k=2"),
    ],
)
async def test_bad_options_are_explained(reason: Reason, field: str, query: str) -> None:
    """A query option that is unknown or no number is named."""
    with pytest.raises(InvalidArgument) as caught:
        await _parse(IMAGE, "image/png", query)

    assert (reason, field) == (caught.value.reason, caught.value.field)


BOUNDARY = "----7d1"


def _form(*parts: tuple[str, str, bytes]) -> bytes:
    lines = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (BOUNDARY.encode(), name.encode(), f'; filename="{file}"'.encode() if file else b"", content)
        for name, file, content in parts
    ]
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize("chunk", [2**16, 7, 1])
async def test_a_form_loses_no_byte(chunk: int) -> None:
    """However the body is cut on its way, every file arrives whole and in order."""
    body = _form(("image", "a.png", IMAGE), ("image", "b.png", IMAGE[::-1]), ("top_k", "", b"3"))
    parsed = await _parse(body, FORM, chunk=chunk)

    assert ([IMAGE, IMAGE[::-1]], 3, False) == (
        list(parsed.contents),
        parsed.request.top_k,
        parsed.single,
    )


async def test_one_file_is_answered_with_one_object() -> None:
    """A form with one file is a single image; the query's options count too."""
    parsed = await _parse(_form(("image", "a.png", IMAGE)), FORM, "top_k=2")

    assert (True, 2) == (parsed.single, parsed.request.top_k)


@pytest.mark.parametrize(
    ("reason", "field", "body", "media_type"),
    [
        (Reason.FIELD_UNKNOWN, "photo", _form(("photo", "a.png", IMAGE)), FORM),
        (Reason.FIELD_UNKNOWN, "topk", _form(("image", "a.png", IMAGE), ("topk", "", b"3")), FORM),
        (Reason.FIELD_INVALID, "top_k", _form(("image", "a.png", IMAGE), ("top_k", "", b"x")), FORM),
        (Reason.FIELD_INVALID, "image", _form(("image", "", b"hello")), FORM),
        (
            Reason.FIELD_INVALID,
            "top_k",
            _form(("image", "a.png", IMAGE), ("top_k", "", b"1"), ("top_k", "", b"2")),
            FORM,
        ),
        (Reason.MEDIA_TYPE_UNSUPPORTED, "content-type", _form(("image", "a.png", IMAGE)), f"{FORM}; charset=punycode"),
        (Reason.REQUEST_MALFORMED, "body", b"no form at all", FORM),
        (Reason.REQUEST_MALFORMED, "body", _form(("image", "a.png", IMAGE)), "multipart/form-data"),
        (Reason.REQUEST_MALFORMED, "body", _form(*[(f"f{n}", "", b"") for n in range(17)]), FORM),
    ],
)
async def test_a_bad_form_is_explained(reason: Reason, field: str, body: bytes, media_type: str) -> None:
    """A form's faults have the same reasons as those of JSON."""
    with pytest.raises(InvalidArgument) as caught:
        await _parse(body, media_type)

    assert (reason, field) == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize("text", ["1_000", " 5", "5 ", "0x5", "٣", "", "nan", "inf"])
async def test_a_query_number_is_written_as_everybody_writes_it(text: str) -> None:
    """What only Python reads as a number is refused."""
    with pytest.raises(InvalidArgument, match="top_k must be a whole number"):
        await _parse(IMAGE, "image/png", f"top_k={quote(text)}")


@pytest.mark.parametrize("cut", [2, 4, len(BOUNDARY) + 4])
async def test_a_form_that_is_cut_short_is_refused(cut: int) -> None:
    """Without its closing boundary a form may lack its last file, so it is not answered."""
    body = _form(("image", "a.png", IMAGE), ("image", "b.png", IMAGE))
    with pytest.raises(InvalidArgument, match="closing boundary") as caught:
        await _parse(body[: -cut - 2], FORM)

    assert (Reason.REQUEST_MALFORMED, "body") == (caught.value.reason, caught.value.field)


async def test_a_part_that_should_be_a_file_is_explained() -> None:
    """`-F image=hello`, without its @, is told how to send a file."""
    with pytest.raises(InvalidArgument, match=r"-F image=@photo\.png"):
        await _parse(_form(("image", "", b"hello")), FORM)


async def test_a_forms_files_are_named_by_field_and_place() -> None:
    """A fault of the second file is told at the field that it came in, counted over all files."""
    parsed = await _parse(_form(("image", "a.png", IMAGE), ("images", "b.png", IMAGE)), FORM)

    assert ["image[0]", "images[1]"] == [
        parsed.rename(InvalidArgument("x", field=f"images[{index}].content")).field for index in range(2)
    ]


async def test_an_option_given_in_two_places_is_refused() -> None:
    """A form's option that the query has as well would lose one of its values."""
    with pytest.raises(InvalidArgument, match="given twice"):
        await _parse(_form(("image", "a.png", IMAGE), ("top_k", "", b"1")), FORM, "top_k=2")


@pytest.mark.parametrize("options", [{}, {"top_k": 3}])
async def test_a_large_json_body_is_read_off_the_loop(options: dict[str, int]) -> None:
    """While a body above 1 MiB is decoded, the event loop goes on; what is read is the same."""
    content = bytes(2**20)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    body = json.dumps({"image_base64": base64.b64encode(content).decode(), **options}).encode()
    parsed = await _parse(body, "application/json", chunk=len(body))
    ticking.cancel()

    assert content == parsed.contents[0]
    assert ticks > 1


async def test_no_content_type_is_called_missing() -> None:
    """The sentence does not speak of an empty one."""
    with pytest.raises(InvalidArgument, match="Content-Type is missing; it must be application/json"):
        await _parse(IMAGE, "")
