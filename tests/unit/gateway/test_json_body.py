"""The JSON shape of a classify request."""

import base64
import json
from typing import Any

import pytest

from gateway.http.json_body import FIELDS, from_json
from gateway.http.schemas import ClassifyBody
from gateway.requests import Limits, check_call
from servicekit.errors import InvalidArgument, Reason

IMAGE = bytes(range(256))
LIMITS = Limits(max_images=32, max_image_bytes=2**24, max_request_bytes=2**25, max_top_k=1000, default_top_k=5)
TEXT = base64.b64encode(IMAGE).decode()


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def test_one_image() -> None:
    """The mission's own shape: base64 and top_k."""
    parsed = from_json(_json({"image_base64": TEXT, "top_k": 3}))

    assert (IMAGE, 3, True) == (parsed.contents[0], parsed.request.top_k, parsed.single)


def test_several_images() -> None:
    """`images` asks for a list, also when it holds one."""
    parsed = from_json(_json({"images": [{"image_base64": TEXT}]}))

    assert (1, False) == (len(parsed.contents), parsed.single)


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
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b"[" * 10_000),
    (Reason.FIELD_INVALID, "body", "must be .*it is a list", []),
    (Reason.FIELD_INVALID, "body", "must be .*it is null", None),
    (Reason.FIELD_INVALID, "body", "must be .*it is a string", "x"),
    (Reason.FIELD_MISSING, "image_base64", "either image_base64", {}),
    (Reason.FIELD_MISSING, "image_base64", "either image_base64", {"image_base64": None}),
    (Reason.FIELD_INVALID, "image_base64", "not both", {"image_base64": "", "images": []}),
    (Reason.FIELD_UNKNOWN, "topk", "no field 'topk'; did you mean 'top_k'", {"image_base64": TEXT, "topk": 3}),
    (Reason.FIELD_UNKNOWN, "images[0].top_k", "no field", {"images": [{"image_base64": TEXT, "top_k": 3}]}),
    (Reason.FIELD_MISSING, "images[1].image_base64", "required", {"images": [{"image_base64": TEXT}, {}]}),
    (Reason.FIELD_INVALID, "images[0]", "it is a string", {"images": [TEXT]}),
    (Reason.FIELD_INVALID, "images", "it is an object", {"images": {}}),
    (Reason.FIELD_INVALID, "image_base64", "it is a number", {"image_base64": 7}),
    (Reason.FIELD_INVALID, "top_k", "must be a whole number; it is a string", {"image_base64": TEXT, "top_k": "3"}),
    (Reason.FIELD_INVALID, "top_k", "whole number; it is 2.5", {"image_base64": TEXT, "top_k": 2.5}),
    (Reason.FIELD_INVALID, "top_k", "it is a boolean", {"image_base64": TEXT, "top_k": True}),
    (Reason.FIELD_INVALID, "min_score", "it is a string", {"image_base64": TEXT, "min_score": "0.5"}),
    (Reason.FIELD_INVALID, "model", "it is a number", {"image_base64": TEXT, "model": 1}),
    (
        Reason.FIELD_INVALID,
        "version",
        'must be a string; it is a number: write "1"',
        {"image_base64": TEXT, "version": 1},
    ),
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b'{"image_base64": "", "min_score": NaN}'),
    (Reason.REQUEST_MALFORMED, "body", "not JSON", b'{"\\udc00": 1}'),
    (Reason.FIELD_UNKNOWN, "image", "did you mean 'image_base64'", {"image": TEXT}),
    (Reason.FIELD_INVALID, "top_k", "'top_k' is given twice", b'{"image_base64": "", "top_k": 1, "top_k": 2}'),
    (Reason.FIELD_INVALID, "image_base64", "twice", b'{"images": [{"image_base64": "", "image_base64": ""}]}'),
    (Reason.REQUEST_TOO_LARGE, "body", "more than 10000 values", b'{"images": [' + b"1," * 2_500_000 + b"1]}"),
    (Reason.REQUEST_TOO_LARGE, "body", "more than 10000 values", {str(number): 1 for number in range(10_001)}),
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
    parsed = from_json(b'{"image_base64": "YQ==", "top_k": ' + b"9" * 5000 + b"}")
    with pytest.raises(InvalidArgument):
        check_call(parsed.contents, parsed.request, LIMITS)


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


@pytest.mark.parametrize("top_k", [2**31, 10**30, -(10**30)])
def test_a_number_too_large_for_the_message_stays_out_of_range(top_k: int) -> None:
    """It is cut to what the message holds, which the check of the range refuses with the limit."""
    parsed = from_json(_json({"image_base64": TEXT, "top_k": top_k}))
    with pytest.raises(InvalidArgument, match="top_k must be 1 to 1000"):
        check_call(parsed.contents, parsed.request, LIMITS)


def test_documented_fields_are_those_that_are_read() -> None:
    """The schema of /docs has the fields of the parser, and no other."""
    assert set(FIELDS) == set(ClassifyBody.model_fields)
