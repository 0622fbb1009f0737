"""FastAPI and uvicorn by hand: two processes on one port. `python -m benchmarks.rivals.fastapi.serve PORT`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from benchmarks.bare import Bare
from benchmarks.rivals.answers import answer

PROCESSES = 2


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.bare = Bare()
    yield


app = FastAPI(lifespan=_lifespan)


@app.post("/classify")
async def classify(request: Request) -> dict[str, Any]:
    """Classifies the JPEG that is the body; on the event loop, since another thread would only compete with it."""
    return answer(request.app.state.bare.classify(await request.body()))


if __name__ == "__main__":
    uvicorn.run(f"{__spec__.name}:app", port=int(sys.argv[1]), workers=PROCESSES, access_log=False, log_level="warning")
