"""Wires what keeps facts: database, journal, intake and writer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.experiments.database import Database
from services.experiments.intake import Intake
from services.experiments.journal import Journal
from services.experiments.settings import ExperimentsSettings


@dataclass(frozen=True, slots=True)
class Store:
    """Is what the servicers need."""

    database: Database
    journal: Journal
    intake: Intake


@asynccontextmanager
async def open_store(settings: ExperimentsSettings) -> AsyncIterator[Store]:
    """Opens the store, and applies entries of the journal to the database while the context is open.

    The database may be away: the first call that reaches it makes its tables.
    """
    raise NotImplementedError
    yield
