"""A real PostgreSQL, as benchmarks run it."""

from benchmarks.postgres import Postgres, running_postgres

__all__ = ["Postgres", "running_postgres"]
