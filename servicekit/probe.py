"""Asks the process of this container how it is: `python -m servicekit.probe [path]` exits with 0 if well, else with 1.

A container's HEALTHCHECK starts it again and again, so it imports next to nothing.
"""

import os
import socket
import sys

TIMEOUT_S = 2.0
DEFAULT_PATH = "/readyz"


def main(path: str, host: str, port: str) -> str:
    """Returns what is wrong, in a line; nothing when the process answered 200.

    Args:
        path: `/readyz`, `/healthz` or `/metrics`.
        host: where the process listens; `0.0.0.0` and `::` are this machine too.
        port: of its metrics.
    """
    if not port.isdecimal() or port == "0":
        return f"TRIPTYCH_METRICS_PORT must be set to the port to ask; it is {port!r}."
    address = (host.strip("[]"), int(port))
    try:
        with socket.create_connection(address, TIMEOUT_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = connection.makefile("rb").read()
    except OSError as error:
        return f"{path} on port {port}: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return "" if status == [b"200"] else body[:200].decode(errors="replace").strip() or "not an answer"


if __name__ == "__main__":
    variables = os.environ  # noqa: TID251 (pydantic would take ten times as long as the question)
    sys.exit(
        main(
            (sys.argv[1:] or [DEFAULT_PATH])[0],
            variables.get("TRIPTYCH_HOST", "127.0.0.1"),
            variables.get("TRIPTYCH_METRICS_PORT", ""),
        )
        or 0
    )
