"""KServe: transformers in front of predictors. `python -m benchmarks.rivals.kserve.serve PORT`."""

import multiprocessing
import socket
import sys

from localcluster.ports import port_leases

HOST = "127.0.0.1"
TRANSFORMERS = 2
PREDICTORS = 2


def transform(listener: socket.socket, address: str) -> None:
    """Is the life of a transformer."""
    from benchmarks.rivals.kserve import transformer  # noqa: PLC0415 (parses the command line when it is imported)

    transformer.serve(listener, address)


def predict(address: str) -> None:
    """Is the life of a predictor."""
    from benchmarks.rivals.kserve import predictor  # noqa: PLC0415 (as above)

    predictor.serve(address)


def main(port: int) -> None:
    """Runs all processes until they end."""
    spawn = multiprocessing.get_context("spawn")
    listener = socket.create_server((HOST, port), backlog=256)
    with port_leases() as leases:
        addresses = [f"{HOST}:{leases.take(HOST)}" for _ in range(PREDICTORS)]
        processes = [spawn.Process(target=predict, args=[address]) for address in addresses]
        processes += [
            spawn.Process(target=transform, args=[listener, addresses[i % PREDICTORS]]) for i in range(TRANSFORMERS)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


if __name__ == "__main__":
    main(int(sys.argv[1]))
