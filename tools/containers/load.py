"""Puts load on a gateway from inside its network and counts what comes of every request: no retries, no forgiveness.

    python load.py TARGET PHOTOGRAPH LABEL

It runs in a container of the gateway's image, since only there can one name stand for all gateways. On SIGTERM it
finishes what it has begun and prints the outcomes as JSON.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from triptych.classification.v1.classification_service_pb2 import ClassifyRequest
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub
from triptych.client.calls import CHANNEL_OPTIONS
from triptych.client.requests import Query

if TYPE_CHECKING:  # it exists for type checkers only
    from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceAsyncStub

CALLERS = 4
PAUSE_S = 0.05
"""Between two requests of a caller: a machine that is busy to the last has nothing left for what starts anew."""
TIMEOUT_S = 20


async def call(stub: "ClassificationServiceAsyncStub", request: ClassifyRequest, label: str) -> str:
    """Sends one request and says what came of it."""
    try:
        response = await stub.Classify(request, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        return f"lost: {error.code().name} {error.details()}"
    found = response.results[0].predictions[0].label
    return "answered" if found == label else f"wrong: {found}"


async def main(target: str, photograph: bytes, label: str) -> None:
    """Runs the callers, each with one request after the other, until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    request = Query(top_k=1).request([photograph])
    outcomes: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        stub: ClassificationServiceAsyncStub = ClassificationServiceStub(channel)

        async def caller() -> None:
            while not stop.is_set():
                outcomes[await call(stub, request, label)] += 1
                await asyncio.sleep(PAUSE_S)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes(), sys.argv[3]))
