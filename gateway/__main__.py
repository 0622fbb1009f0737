"""Starts the gateway: `python -m gateway`."""

import sys

from gateway.service import serve_gateway
from gateway.settings import GatewaySettings
from servicekit.server import main

if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, serve_gateway, edge=True))
