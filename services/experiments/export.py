"""Gives predictions back with the label that holds, as data to learn from."""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Select, select, tuple_

from services.experiments.fields import microseconds
from services.experiments.tables import IMAGE, PREDICTION, TRUTH
from triptych.experiments.v1 import feedback_service_pb2 as pb

PAGE = 500
Place = tuple[int, str]
"""Of a prediction in the order of the export: its time and its id."""


@dataclass(slots=True)
class Classes:
    """Knows names and indices of classes, of each version of each model, as far as they were ever answered."""

    names: dict[tuple[str, str, int], str] = field(default_factory=dict)
    indices: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def add(self, model: str, version: str, index: int, name: str) -> None:
        """Learns one."""
        self.names[model, version, index] = name
        self.indices[model, version, name] = index


def read_classes(connection: Connection, model: str) -> Classes:
    """Returns the classes that were the first one of any answer."""
    columns = PREDICTION.c.model, PREDICTION.c.version, PREDICTION.c.first_index, PREDICTION.c.first_label
    asked = select(*columns).where(PREDICTION.c.first_index.is_not(None)).distinct()
    classes = Classes()
    for row in connection.execute(_of(asked, model)):
        classes.add(*row)
    return classes


def read_page(connection: Connection, request: pb.ExportFeedbackRequest, after: Place | None) -> list[Row[Any]]:
    """Returns the next predictions, the oldest first; none at the end.

    Args:
        connection: to read from.
        request: which ones.
        after: the last one of the page before.
    """
    truth = TRUTH.c.label, TRUTH.c.label_index, TRUTH.c.source, TRUTH.c.time_us.label("label_time_us")
    joined = PREDICTION.join(TRUTH, TRUTH.c.prediction_id == PREDICTION.c.prediction_id, isouter=request.unlabelled)
    place = tuple_(PREDICTION.c.time_us, PREDICTION.c.prediction_id)
    asked = _of(select(*PREDICTION.c, *truth).select_from(joined), request.model)
    if request.HasField("since"):
        asked = asked.where(PREDICTION.c.time_us >= microseconds(request.since))
    if after is not None:
        asked = asked.where(place > after)
    order = PREDICTION.c.time_us, PREDICTION.c.prediction_id
    return list(connection.execute(asked.order_by(*order).limit(PAGE)))


def read_image(connection: Connection, prediction_id: str) -> bytes:
    """Returns the image of a prediction; nothing where it is not kept."""
    asked = select(IMAGE.c.content).where(IMAGE.c.prediction_id == prediction_id)
    return connection.execute(asked).scalar_one_or_none() or b""


def place_of(row: Row[Any]) -> Place:
    """Returns where the next page goes on."""
    return row.time_us, row.prediction_id


def message_of(row: Row[Any], classes: Classes) -> pb.ExportFeedbackResponse:
    """Returns a row as callers read it."""
    message = pb.ExportFeedbackResponse(
        prediction_id=row.prediction_id,
        model=row.model,
        version=row.version,
        predicted=row.first_label or "",
        predicted_index=row.first_index or 0,
        inclusion_probability=row.inclusion_probability,
        experiment=row.experiment,
        arm=row.arm,
    )
    top = json.loads(row.top)
    if top:
        message.score = top[0][2]
    message.time.FromMicroseconds(row.time_us)
    if row.source is not None:
        _add_label(message, row, top, classes)
    return message


def _add_label(message: pb.ExportFeedbackResponse, row: Row[Any], top: list[list[Any]], classes: Classes) -> None:
    """Says what was right, by name and by index, as far as both are known."""
    for index, name, _ in top:
        classes.add(row.model, row.version, index, name)
    name, index = row.label, row.label_index
    if index is None:
        index = classes.indices.get((row.model, row.version, name))
    else:
        name = classes.names.get((row.model, row.version, index))
    message.label = name or ""
    if index is not None:
        message.label_index = index
    message.source = row.source
    message.label_time.FromMicroseconds(row.label_time_us)


def _of(asked: Select[Any], model: str) -> Select[Any]:
    return asked.where(PREDICTION.c.model == model) if model else asked
