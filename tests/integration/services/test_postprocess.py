"""The postprocess service over a real server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from fakes.repository import CLASSES, LABELS, manifest, write_model
from fakes.scripted import field_of, reason_of
from fakes.servers import connected, running_server
from fakes.tensors import encode

from services.postprocess.labels import Calibrations
from services.postprocess.servicer import PostprocessServicer
from triptych.postprocess.v1 import postprocess_service_pb2 as pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as pb_grpc


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to a service that knows one model with two temperatures."""
    write_model(tmp_path, manifest(temperatures={"1": 1.0, "2": 4.0}))
    servicer = PostprocessServicer(Calibrations(tmp_path), max_batch=4, max_top_k=1000)
    async with (
        running_server(
            lambda server: pb_grpc.add_PostprocessServiceServicer_to_server(servicer, server), parcels=True
        ) as server,
        connected(server.port) as channel,
    ):
        yield channel


def _request(rows: int = 1, **values: Any) -> pb.RankLabelsRequest:
    logits = np.tile(np.arange(CLASSES, dtype=np.float32), (rows, 1))
    defaults = {"model": "tiny", "version": "1", "logits": encode(logits), "options": [pb.RankOptions(top_k=2)] * rows}
    return pb.RankLabelsRequest(**{**defaults, **values})


async def _rank(channel: grpc.aio.Channel, request: pb.RankLabelsRequest) -> list[pb.RankOutcome]:
    response = await pb_grpc.PostprocessServiceStub(channel).RankLabels(request, timeout=5)
    return list(response.outcomes)


async def test_labels_are_ranked(channel: grpc.aio.Channel) -> None:
    """The best classes come with their labels and indices, best first."""
    (outcome,) = await _rank(channel, _request())

    assert [(4, LABELS[4]), (3, LABELS[3])] == [(p.index, p.label) for p in outcome.ranking.predictions]


async def test_the_version_chooses_the_temperature(channel: grpc.aio.Channel) -> None:
    """A hotter version is less sure of the same logits."""
    (cold,), (hot,) = await _rank(channel, _request()), await _rank(channel, _request(version="2"))

    assert cold.ranking.predictions[0].score > hot.ranking.predictions[0].score


async def test_a_bad_row_leaves_the_others_alone(channel: grpc.aio.Channel) -> None:
    """Each row at fault has its own error, and the good rows their ranking, in order."""
    logits = np.zeros((4, CLASSES), np.float32)
    logits[0, 1] = 9
    logits[2, 0] = np.nan
    options = [
        pb.RankOptions(top_k=1),
        pb.RankOptions(top_k=0),
        pb.RankOptions(top_k=1),
        pb.RankOptions(top_k=1, min_score=2),
    ]
    outcomes = await _rank(channel, _request(4, logits=encode(logits), options=options))

    assert ["bee", "top_k", "LOGITS_NOT_FINITE", "min_score"] == [
        outcomes[0].ranking.predictions[0].label,
        outcomes[1].error.field,
        outcomes[2].error.reason,
        outcomes[3].error.field,
    ]


@pytest.mark.parametrize("options", [pb.RankOptions(top_k=0), pb.RankOptions(top_k=1, min_score=float("nan"))])
async def test_a_batch_of_bad_rows_is_answered(channel: grpc.aio.Channel, options: pb.RankOptions) -> None:
    """Without one good row there are still outcomes."""
    outcomes = await _rank(channel, _request(2, options=[options] * 2))

    assert ["FIELD_INVALID"] * 2 == [outcome.error.reason for outcome in outcomes]


async def test_a_threshold_may_leave_nothing(channel: grpc.aio.Channel) -> None:
    """An empty ranking is an answer, not an error."""
    (outcome,) = await _rank(channel, _request(options=[pb.RankOptions(top_k=5, min_score=1)]))

    assert (True, []) == (outcome.HasField("ranking"), list(outcome.ranking.predictions))


BAD = [
    ("NOT_FOUND", "MODEL_NOT_FOUND", "model", {"model": "huge"}),
    ("NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "version", {"version": "7"}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "logits.data_type", {"logits": None}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "logits", {"logits": encode(np.zeros((1, 4), np.float32))}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "logits", {"logits": encode(np.zeros(CLASSES, np.float32))}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "logits", {"logits": encode(np.zeros((1, CLASSES), np.float16))}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "options", {"options": []}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "options", {"logits": encode(np.zeros((0, CLASSES), np.float32))}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "options", {"logits": encode(np.zeros((5, CLASSES), np.float32))}),
]


@pytest.mark.parametrize(("code", "reason", "field", "values"), BAD)
async def test_a_bad_batch_is_refused(
    channel: grpc.aio.Channel, code: str, reason: str, field: str, values: dict[str, Any]
) -> None:
    """What concerns the whole batch fails the call and names the field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _rank(channel, _request(**values))

    assert (code, reason, field) == (caught.value.code().name, reason_of(caught.value), field_of(caught.value))
