"""Supervises a cluster in the background: `python -m localcluster OPTIONS`, as `triptych up --detach` starts it."""

import logging
import sys

from localcluster.cluster import run_cluster
from localcluster.options import UpOptions


def main() -> int:
    """Runs the cluster that the argument describes; its log goes to stderr, its status to the state directory."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        run_cluster(UpOptions.from_json(sys.argv[1]))
    except (RuntimeError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
