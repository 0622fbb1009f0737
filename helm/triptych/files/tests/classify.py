"""Classifies a photograph through the gateway, as `helm test` asks: `classify.py PHOTOGRAPH HTTP_URL [GRPC_TARGET]`.

The label must be what the environment's EXPECTED_LABEL says. Every answer is computed anew where the gateway's cache
holds none; a cluster that has only just come up is given time.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path

PATIENCE_S = 120
PAUSE_S = 2


def over_http(photograph: bytes, url: str) -> str:
    """Returns the best label that the HTTP API gives."""
    # The edge's certificate names the outside world's host, not this Service; what is tested is the answer.
    trust = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323, SLF001
    headers = {"Content-Type": "image/jpeg"}
    request = urllib.request.Request(f"{url}/api/v1/classify", data=photograph, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:  # noqa: S310
        return str(json.load(answer)["predictions"][0]["label"])


def over_grpc(photograph: bytes, target: str) -> str:
    """Returns the best label that the gRPC API gives."""
    from triptych import Client  # noqa: PLC0415 (not needed where gRPC is not tested)

    with Client(target) as client:
        return client.classify(photograph).best.label


def until_served(attempt, *arguments):  # noqa: ANN001, ANN002, ANN201
    """Returns what the attempt returns once it succeeds."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt(*arguments)
        except Exception as error:
            if time.monotonic() > end:
                raise
            print(f"not yet: {error}", flush=True)  # noqa: T201
            time.sleep(PAUSE_S)


def main() -> int:
    """Asks over HTTP, and over gRPC where a target is given."""
    photograph, expected = Path(sys.argv[1]).read_bytes(), os.environ["EXPECTED_LABEL"]
    found = {"HTTP": until_served(over_http, photograph, sys.argv[2])}
    if len(sys.argv) > 3:
        found["gRPC"] = until_served(over_grpc, photograph, sys.argv[3])
    for way, label in found.items():
        print(f"{way}: {label}" + ("" if label == expected else f", but {expected} was expected"))  # noqa: T201
    return 0 if set(found.values()) == {expected} else 1


if __name__ == "__main__":
    sys.exit(main())
