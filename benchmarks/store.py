"""Measures what it costs to keep a prediction and its exposure: `python -m benchmarks.store [--database both]`.

Prints CPU time of the thread that checks, and of the one that writes, for batches as they come at some hundred
predictions per second, at about a thousand, and while a backlog is worked off.
"""

import argparse
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator

import uuid_utils
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.postgres import running_postgres
from services.experiments.apply import apply
from services.experiments.database import open_database, take_turns
from services.experiments.evidence_checks import check_evidence
from services.experiments.frames import Entry, Kind
from services.experiments.rows import to_rows
from triptych.experiments.v1 import evidence_service_pb2 as pb

BATCHES = (30, 100, 1000)
PREDICTIONS = 6000
"""Of each measurement."""


def message(count: int) -> bytes:
    """Returns what a gateway sends of so many requests."""
    request = pb.RecordEvidenceRequest()
    now = Timestamp()
    now.GetCurrentTime()
    for _ in range(count):
        key = os.urandom(16)
        request.exposures.add(experiment="colours", epoch=1, arm="b", key_hash=key, slow=True)
        record = request.predictions.add(
            prediction_id=str(uuid_utils.uuid7()),
            request_id=str(uuid.uuid4()),
            tenant="acme",
            time=now,
            model="efficientnet_lite0",
            version="1",
            experiment="colours",
            epoch=1,
            arm="b",
            key_hash=key,
            inclusion_probability=1.0,
            image_digest=os.urandom(32),
            image_bytes=50_000,
            total_ms=12.5,
        )
        for index in range(5):
            record.top.add(index=index, label="Egyptian cat", score=0.2)
    return request.SerializeToString()


def measure(url: str, batch: int) -> tuple[float, float]:
    """Returns the microseconds of CPU per prediction that checking and writing take."""
    messages = [message(batch) for _ in range(PREDICTIONS // batch)]
    begun = time.thread_time()
    for data in messages:
        check_evidence(pb.RecordEvidenceRequest.FromString(data))
    checked = time.thread_time()
    database = open_database(url)
    ready = time.thread_time()
    for data in messages:
        rows = to_rows([Entry(Kind.EVIDENCE, time.time_ns() // 1000, data, 0, len(data))], "journal", 10**12)
        with database.begin() as connection:
            take_turns(connection)
            apply(connection, rows)
    written = time.thread_time()
    database.close()
    total = len(messages) * batch / 1e6
    return (checked - begun) / total, (written - ready) / total


def _databases(chosen: str) -> Iterator[tuple[str, str]]:
    if chosen in ("sqlite", "both"):
        with tempfile.TemporaryDirectory() as folder:
            yield "SQLite", f"sqlite:///{folder}/experiments.db"
    if chosen in ("postgresql", "both"):
        with running_postgres(durable=True) as server:
            yield "PostgreSQL", server.new_database()


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args()
    for title, url in _databases(options.database):
        for batch in BATCHES:
            checking, writing = measure(url, batch)
            sys.stdout.write(f"{title}, {batch} a batch: check {checking:.1f} us, write {writing:.1f} us\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
