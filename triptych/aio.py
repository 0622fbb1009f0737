"""The client for asyncio: `triptych.aio.Client`."""

from triptych.client.aio import AsyncClient as Client

__all__ = ["Client"]
