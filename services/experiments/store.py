"""Wires what keeps facts: database, journal, intake and writer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.experiments.database import Database
from services.experiments.intake import Intake
from services.experiments.journal import Journal
from services.experiments.retention import Limits
from services.experiments.settings import ExperimentsSettings
from services.experiments.writer import Writer


@dataclass(frozen=True, slots=True)
class Store:
    """Is what the servicers need."""

    database: Database
    journal: Journal
    intake: Intake
    writer: Writer


@asynccontextmanager
async def open_store(settings: ExperimentsSettings) -> AsyncIterator[Store]:
    """Opens the store, and applies entries of the journal to the database while the context is open.

    The database may be away: the first call that reaches it makes its tables.

    Raises:
        JournalError: another process uses the folder.
    """
    journal = Journal(settings.data_dir / "journal", settings.journal_max_bytes)
    database = Database(settings.database)
    limits = Limits(int(settings.prediction_ttl_s * 1e6), int(settings.image_ttl_s * 1e6))
    writer = Writer(database, journal, limits)
    writer.start()
    try:
        yield Store(database, journal, Intake(journal), writer)
    finally:
        await asyncio.to_thread(writer.stop)
        await journal.close()
        database.close()
