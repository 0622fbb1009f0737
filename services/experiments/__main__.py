"""Starts the experiments service: `python -m services.experiments`."""

import sys

from servicekit.server import main, serve
from servicekit.tracing import Tracer
from services.experiments.journal import JournalError
from services.experiments.service import open_service
from services.experiments.settings import ExperimentsSettings


async def run(settings: ExperimentsSettings, tracer: Tracer | None) -> None:
    """Serves until the process is told to stop."""
    async with open_service(settings) as service:
        await serve(settings, service, tracer)


if __name__ == "__main__":
    try:
        sys.exit(main("experiments", ExperimentsSettings, run))
    except JournalError as error:
        raise SystemExit(f"experiments: {error}") from None
