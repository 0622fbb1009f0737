"""The JSON of answers."""

import asyncio
import json

import pytest

from gateway.http.answers import LARGE, classification_json, render, to_json
from triptych.classification.v1.classification_pb2 import Classification, Prediction, Timing

FULL = Classification(
    predictions=[Prediction(index=285, label="Egyptian cat", score=0.7), Prediction(index=0, label="é", score=0)],
    model="m",
    version="2",
    prediction_id="id",
    timing=Timing(total_ms=9.5, preprocess_ms=4, decode_ms=2.5, queue_ms=0, compute_ms=3.25, postprocess_ms=1),
    experiment="e",
    arm="a",
)


@pytest.mark.parametrize("result", [FULL, Classification(timing=Timing())], ids=["full", "empty"])
def test_a_classifications_json_is_that_of_the_message(result: Classification) -> None:
    """What is built by hand for speed equals protobuf's own JSON."""
    assert to_json(result) == json.loads(json.dumps(classification_json(result)))


def test_fields_stand_in_the_contracts_order() -> None:
    """A value of zero does not change a field's place."""
    answer = classification_json(FULL)

    assert [field.name for field in Classification.DESCRIPTOR.fields] == list(answer)
    assert [field.name for field in Timing.DESCRIPTOR.fields] == list(answer["timing"])
    assert [field.name for field in Prediction.DESCRIPTOR.fields] == list(answer["predictions"][0])


@pytest.mark.parametrize("many", [1, LARGE])
async def test_an_answer_is_the_same_however_large(many: int) -> None:
    """Large answers are rendered off the event loop, into the same text."""
    results = [Classification(predictions=[Prediction(label="ß", score=0.5)], timing=Timing())] * many
    body = await asyncio.wait_for(render(results, single=False), 10)

    assert [to_json(result) for result in results] == json.loads(body)
    assert "ß".encode() in body
