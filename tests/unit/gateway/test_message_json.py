"""JSON into messages of the contract."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from gateway.http.feedback import read_feedback
from gateway.http.message_json import fill, from_texts, marked
from gateway.http.strict_json import as_object, load
from servicekit.errors import InvalidArgument, Reason
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb

EXPERIMENT: dict[str, Any] = {
    "name": "trial",
    "model": "m",
    "arms": [{"name": "a", "version": "1", "weight": 9.5}, {"name": "b", "version": "2", "weight": 1}],
    "shadows": [{"name": "s", "version": "2", "share": 0.5}],
    "audience": {"tenants": ["acme", "zoo"], "headers": {"x-country": "at"}},
    "rules": {"alpha": 0.01, "auto_promote": True},
    "ramp": {"steps": [0.05, 0.5], "hold_s": 60, "min_keys": "1000"},
    "layer": "checkout",
    "slot_end": 0.25,
}


def _object(value: Any) -> dict[str, Any]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return as_object(load(body, marked), "")


def _create(value: Any) -> pb.CreateExperimentRequest:
    message = pb.CreateExperimentRequest()
    fill(message, _object(value))
    return message


def test_a_request_is_read() -> None:
    """Every kind of field arrives, and what is written back is what came."""
    request = {"experiment": EXPERIMENT, "start": True, "actor": "ann"}
    written = MessageToDict(_create(request), preserving_proto_field_name=True)

    assert request == written


def test_a_whole_number_of_64_bits_may_be_a_number() -> None:
    """Text is protobuf's own way, and not the only one."""
    assert 7 == _create({"experiment": {"ramp": {"min_keys": 7}}}).experiment.ramp.min_keys


def test_null_is_absent() -> None:
    """As in every other body."""
    request = _create({"experiment": {"rules": {"alpha": None}, "ramp": None}, "actor": None})

    assert (True, False, False) == (
        request.experiment.HasField("rules"),
        request.experiment.rules.HasField("alpha"),
        request.experiment.HasField("ramp"),
    )


def test_an_empty_object_is_there() -> None:
    """Presence is told, so that the service can refuse what says nothing."""
    assert _create({"experiment": {"ramp": {}}}).experiment.HasField("ramp")


BAD: list[tuple[Reason, str, str, Any]] = [
    (Reason.FIELD_UNKNOWN, "begin", "no field 'begin'; there are experiment", {"begin": True}),
    (Reason.FIELD_UNKNOWN, "experiment.arm", "did you mean 'arms'", {"experiment": {"arm": []}}),
    (Reason.FIELD_UNKNOWN, "experiment.slotBegin", "did you mean 'slot_begin'", {"experiment": {"slotBegin": 0}}),
    (Reason.FIELD_UNKNOWN, "experiment.arms[1].share", "no field", {"experiment": {"arms": [{}, {"share": 1}]}}),
    (Reason.FIELD_INVALID, "experiment", "must be an object; it is a list", {"experiment": []}),
    (Reason.FIELD_INVALID, "experiment.arms", "must be a list; it is an object", {"experiment": {"arms": {}}}),
    (Reason.FIELD_INVALID, "experiment.arms[0]", "must be an object; it is null", {"experiment": {"arms": [None]}}),
    (
        Reason.FIELD_INVALID,
        "experiment.arms[0].version",
        'must be a string; it is a number: write "2"',
        {"experiment": {"arms": [{"version": 2}]}},
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.arms[0].weight",
        "must be a number; it is a string",
        {"experiment": {"arms": [{"weight": "9"}]}},
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.ramp.steps[1]",
        "it is a bool",
        {"experiment": {"ramp": {"steps": [0.1, True]}}},
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.ramp.min_keys",
        "must be a whole number; it is 2.5",
        {"experiment": {"ramp": {"min_keys": 2.5}}},
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.ramp.min_keys",
        "must be a whole number; it is 'many'",
        {"experiment": {"ramp": {"min_keys": "many"}}},
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.audience.headers[x-a]",
        "must be a string; it is null",
        {"experiment": {"audience": {"headers": {"x-a": None}}}},
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.audience.tenants[1]",
        "must be a string",
        {"experiment": {"audience": {"tenants": ["a", 7]}}},
    ),
    (Reason.FIELD_INVALID, "start", "must be a boolean; it is a string", {"start": "yes"}),
    (Reason.FIELD_INVALID, "actor", "'actor' is given twice", b'{"actor": "a", "actor": "b"}'),
    (
        Reason.FIELD_INVALID,
        "experiment.arms[0].name",
        "'experiment.arms\\[0\\].name' is given twice",
        b'{"experiment": {"arms": [{"name": "a", "name": "a"}]}}',
    ),
    (
        Reason.FIELD_INVALID,
        "experiment.audience.headers[x-a]",
        "given twice",
        b'{"experiment": {"audience": {"headers": {"x-a": "1", "x-a": "2"}}}}',
    ),
    (Reason.FIELD_INVALID, "experiment.create_time", "RFC 3339", {"experiment": {"create_time": "yesterday"}}),
    (Reason.FIELD_INVALID, "experiment.state", "must be one of draft", {"experiment": {"state": "on"}}),
    (Reason.REQUEST_MALFORMED, "body", "NaN is no number", b'{"experiment": {"slot_end": NaN}}'),
    (Reason.REQUEST_MALFORMED, "body", "not UTF-8", b'{"actor": "\\ud800"}'),
    (Reason.REQUEST_TOO_LARGE, "body", "more than 10000 values", b"[" + b"[]," * 10_000),
    (Reason.FIELD_INVALID, "body", "must be an object; it is a list", []),
]


@pytest.mark.parametrize(("reason", "field", "text", "value"), BAD)
def test_a_fault_is_told_with_its_path(reason: Reason, field: str, text: str, value: Any) -> None:
    """What is unknown, given twice or of the wrong type is refused, by the caller's own name for it."""
    with pytest.raises(InvalidArgument, match=text) as caught:
        _create(value)

    assert (reason, field) == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize(("given", "kept"), [(10**18, 2**31 - 1), (-(10**18), -(2**31)), (281, 281)])
def test_a_number_beyond_the_message_is_out_of_range(given: int, kept: int) -> None:
    """What does not fit becomes the border, which no field allows."""
    request, _ = read_feedback(_object({"prediction_id": "p", "label_index": given}))

    assert kept == request.feedback[0].label_index


def test_one_feedback_needs_no_list() -> None:
    """The issue's own shape."""
    request, single = read_feedback(_object({"prediction_id": "p", "label_index": 281}))

    assert (True, [feedback_pb.Feedback(prediction_id="p", label_index=281)]) == (single, list(request.feedback))


def test_several_feedbacks_are_a_list() -> None:
    """With sources by their short names or the contract's, and times."""
    items = [
        {"prediction_id": "p", "label": "tabby", "source": "annotator", "time": "2026-11-28T12:00:00.5+01:00"},
        {"prediction_id": "q", "label_index": 0, "source": "FEEDBACK_SOURCE_SYSTEM", "feedback_id": "f"},
    ]
    request, single = read_feedback(_object({"feedback": items}))
    first, second = request.feedback

    assert (False, feedback_pb.FEEDBACK_SOURCE_ANNOTATOR, feedback_pb.FEEDBACK_SOURCE_SYSTEM) == (
        single,
        first.source,
        second.source,
    )
    assert ("2026-11-28T11:00:00.500Z", "label_index", "f") == (
        first.time.ToJsonString(),
        second.WhichOneof("truth"),
        second.feedback_id,
    )


BAD_FEEDBACK: list[tuple[Reason, str, str, Any]] = [
    (Reason.FIELD_INVALID, "label", "Give label_index or label, not both", {"label_index": 1, "label": "x"}),
    (
        Reason.FIELD_INVALID,
        "feedback[1].label_index",
        "not both",
        {"feedback": [{}, {"label": "x", "label_index": 1}]},
    ),
    (Reason.FIELD_UNKNOWN, "label_indx", "did you mean 'label_index'", {"label_indx": 1}),
    (Reason.FIELD_UNKNOWN, "feedbacks", "did you mean 'feedback'", {"feedbacks": []}),
    (Reason.FIELD_UNKNOWN, "label", "no field 'label'", {"feedback": [], "label": "x"}),
    (Reason.FIELD_UNKNOWN, "feedback[0].colour", "no field", {"feedback": [{"colour": "red"}]}),
    (Reason.FIELD_INVALID, "source", "one of user, annotator, system; it is 'me'", {"source": "me"}),
    (Reason.FIELD_INVALID, "source", "must be a string; it is a number", {"source": 1}),
    (Reason.FIELD_INVALID, "label_index", "must be a whole number; it is a string", {"label_index": "281"}),
    (Reason.FIELD_INVALID, "label_index", "it is a boolean", {"label_index": True}),
    (Reason.FIELD_INVALID, "feedback", "must be a list; it is a string", {"feedback": "x"}),
    (Reason.FIELD_INVALID, "feedback", "given twice", b'{"feedback": [], "feedback": []}'),
    *(
        (Reason.FIELD_INVALID, "time", "RFC 3339", {"time": text})
        for text in (
            "2026-11-28",
            "2026-11-28 12:00:00Z",
            "2026-11-28T12:00:00",
            "2026-13-28T12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-11-28T12:00:00+25:00",
            "1795867200",
        )
    ),
]


@pytest.mark.parametrize(("reason", "field", "text", "value"), BAD_FEEDBACK)
def test_bad_feedback_is_explained(reason: Reason, field: str, text: str, value: Any) -> None:
    """Reason, path and sentence say what is wrong."""
    with pytest.raises(InvalidArgument, match=text) as caught:
        read_feedback(_object(value))

    assert (reason, field) == (caught.value.reason, caught.value.field)


def _listed(**texts: str) -> pb.ListExperimentsRequest:
    message = pb.ListExperimentsRequest()
    from_texts(message, texts, list(message.DESCRIPTOR.fields_by_name))
    return message


def test_a_query_is_read() -> None:
    """Numbers and booleans are told by the contract."""
    assert pb.ListExperimentsRequest(page_size=7, model="7", running=True) == _listed(
        page_size="7", model="7", running="true"
    )


@pytest.mark.parametrize(
    ("field", "text", "texts"),
    [
        ("page_size", "must be a whole number; it is 'all'", {"page_size": "all"}),
        ("running", "must be true or false; it is '1'", {"running": "1"}),
        ("pagesize", "did you mean 'page_size'", {"pagesize": "1"}),
    ],
)
def test_a_bad_query_is_explained(field: str, text: str, texts: dict[str, str]) -> None:
    """What is unknown or of the wrong type is refused."""
    with pytest.raises(InvalidArgument, match=text) as caught:
        _listed(**texts)

    assert field == caught.value.field
