"""The three shapes of a classify request over HTTP."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request

from gateway.http.body import Parsed, from_json, parse
from gateway.requests import Limits, check_request
from servicekit.errors import InvalidArgument, Reason

IMAGE = bytes(range(256))
LIMITS = Limits(max_images=32, max_image_bytes=2**24, max_request_bytes=2**25, max_top_k=1000, default_top_k=5)
TEXT = base64.b64encode(IMAGE).decode()


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


async def _parse(body: bytes, media_type: str, query: str = "", chunk: int = 2**16) -> Parsed:
    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    headers = [(b"content-type", media_type.encode())] if media_type else []
    scope = {"type": "http", "method": "POST", "headers": headers, "query_string": query.encode(), "app": None}
    return await parse(Request(scope, receive))


def test_one_image() -> None:
    """The mission's own shape: base64 and top_k."""
    parsed = from_json(_json({"image_base64": TEXT, "top_k": 3}))

    assert (IMAGE, 3, True) == (parsed.request.images[0].content, parsed.request.top_k, parsed.single)


def test_several_images() -> None:
    """`images` asks for a list, also when it holds one."""
    parsed = from_json(_json({"images": [{"image_base64": TEXT}]}))

    assert (1, False) == (len(parsed.request.images), parsed.single)


def test_every_option() -> None:
    """Options arrive in the contract's own form."""
    options = {"model": "m", "version": "2", "top_k": 7, "min_score": 0.25}
    request = from_json(_json({"image_base64": TEXT, **options})).request

    assert options == {name: getattr(request, name) for name in options}


def test_absent_options_stay_absent() -> None:
    """What was not given, or null, is left to the defaults."""
    request = from_json(_json({"image_base64": TEXT, "top_k": None})).request

    assert (False, False) == (request.HasField("top_k"), request.HasField("min_score"))


BAD_JSON: list[tuple[Reason, str, str, Any]] = [
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b"{"),
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b""),
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b"\xff\xfe"),
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b'{"image_base64": "\\ud800"}'),
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b"[" * 100_000),
    (Reason.FIELD_INVALID, "body", "must be .*it is a list", []),
    (Reason.FIELD_INVALID, "body", "must be .*it is null", None),
    (Reason.FIELD_INVALID, "body", "must be .*it is a string", "x"),
    (Reason.FIELD_MISSING, "image_base64", "either image_base64", {}),
    (Reason.FIELD_MISSING, "image_base64", "either image_base64", {"image_base64": None}),
    (Reason.FIELD_INVALID, "image_base64", "either", {"image_base64": "", "images": []}),
    (Reason.FIELD_UNKNOWN, "topk", "no field 'topk'", {"image_base64": TEXT, "topk": 3}),
    (Reason.FIELD_UNKNOWN, "images[0].top_k", "no field", {"images": [{"image_base64": TEXT, "top_k": 3}]}),
    (Reason.FIELD_MISSING, "images[1].image_base64", "required", {"images": [{"image_base64": TEXT}, {}]}),
    (Reason.FIELD_INVALID, "images[0]", "it is a string", {"images": [TEXT]}),
    (Reason.FIELD_INVALID, "images", "it is an object", {"images": {}}),
    (Reason.FIELD_INVALID, "image_base64", "it is a number", {"image_base64": 7}),
    (Reason.FIELD_INVALID, "top_k", "it is a string", {"image_base64": TEXT, "top_k": "3"}),
    (Reason.FIELD_INVALID, "top_k", "it is a number", {"image_base64": TEXT, "top_k": 2.5}),
    (Reason.FIELD_INVALID, "top_k", "it is a boolean", {"image_base64": TEXT, "top_k": True}),
    (Reason.FIELD_INVALID, "min_score", "it is a string", {"image_base64": TEXT, "min_score": "0.5"}),
    (Reason.FIELD_INVALID, "model", "it is a number", {"image_base64": TEXT, "model": 1}),
    (Reason.FIELD_INVALID, "version", "it is a number", {"image_base64": TEXT, "version": 1}),
    (Reason.IMAGE_BASE64_INVALID, "image_base64", "not standard base64", {"image_base64": "!"}),
    (Reason.IMAGE_BASE64_INVALID, "image_base64", "not standard base64", {"image_base64": "abc"}),
    (Reason.IMAGE_BASE64_INVALID, "image_base64", "not standard base64", {"image_base64": "é" * 4}),
    (Reason.IMAGE_BASE64_INVALID, "image_base64", "data: prefix", {"image_base64": "data:image/png;base64," + TEXT}),
    (Reason.IMAGE_BASE64_INVALID, "image_base64", "line breaks", {"image_base64": TEXT[:76] + "\n" + TEXT[76:]}),
    (
        Reason.IMAGE_BASE64_INVALID,
        "images[1].image_base64",
        "not standard base64",
        {"images": [{"image_base64": TEXT}, {"image_base64": "!"}]},
    ),
]


@pytest.mark.parametrize(("reason", "field", "words", "body"), BAD_JSON)
def test_bad_json_is_explained(reason: Reason, field: str, words: str, body: Any) -> None:
    """Each fault tells its reason, the field by its JSON name, and a sentence."""
    with pytest.raises(InvalidArgument, match=words) as caught:
        from_json(_json(body))

    assert (reason, field) == (caught.value.reason, caught.value.field)


def test_an_absurd_number_is_explained() -> None:
    """A number of 5,000 digits is refused like any other."""
    with pytest.raises(InvalidArgument):
        from_json(b'{"image_base64": "", "top_k": ' + b"9" * 5000 + b"}")


@pytest.mark.parametrize("media_type", ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "application/octet-stream"])
async def test_a_raw_body_is_the_image(media_type: str) -> None:
    """Every byte of the body is the image; options come from the query."""
    parsed = await _parse(IMAGE, media_type, "top_k=3&model=m&version=2&min_score=.5")
    request = parsed.request

    assert (IMAGE, 3, "m", "2", 0.5, True) == (
        request.images[0].content,
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
        [image.content for image in parsed.request.images],
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


@pytest.mark.parametrize(
    ("name", "body"),
    [("image_base64", {"image_base64": ""}), ("images[0].image_base64", {"images": [{"image_base64": ""}]})],
)
def test_errors_found_later_use_the_callers_names(name: str, body: Any) -> None:
    """A fault at images[0].content is told at the JSON field that it came from."""
    error = InvalidArgument("Empty.", reason=Reason.IMAGE_EMPTY, field="images[0].content")

    assert name == from_json(_json(body)).rename(error).field


def test_other_errors_keep_their_field() -> None:
    """Fields of the same name in both forms stay."""
    assert "top_k" == from_json(_json({"image_base64": ""})).rename(InvalidArgument("x", field="top_k")).field


@pytest.mark.parametrize("text", ["1_000", " 5", "5 ", "0x5", "٣", "", "nan", "inf"])
async def test_a_query_number_is_written_as_everybody_writes_it(text: str) -> None:
    """What only Python reads as a number is refused."""
    with pytest.raises(InvalidArgument, match="top_k must be a whole number"):
        await _parse(IMAGE, "image/png", f"top_k={quote(text)}")


@pytest.mark.parametrize("top_k", [2**31, 10**30, -(10**30)])
def test_a_number_too_large_for_the_message_stays_out_of_range(top_k: int) -> None:
    """It is cut to what the message holds, which the check of the range refuses with the limit."""
    parsed = from_json(_json({"image_base64": TEXT, "top_k": top_k}))
    with pytest.raises(InvalidArgument, match="top_k must be 1 to 1000"):
        check_request(parsed.request, LIMITS)
