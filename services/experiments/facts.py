"""Counts the facts of an experiment's epoch, as verdicts need them."""

from sqlalchemy import Connection

from services.experiments.verdicts import Facts
from triptych.experiments.v1 import experiment_pb2


def gather(connection: Connection, experiment: experiment_pb2.Experiment) -> dict[str, Facts]:
    """Returns the facts of the experiment's current epoch, by candidate: its arms but the first, then its shadows.

    Args:
        connection: of `Database.connect`, so that all counts are of one moment.
        experiment: as stored: `name`, `epoch`, `arms` and `shadows` matter.
    """
    raise NotImplementedError
