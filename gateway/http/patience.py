"""How long a request over HTTP may take."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from servicekit import context
from servicekit.errors import DeadlineExceeded, InvalidArgument
from servicekit.settings import ProcessSettings

GONE = "The client closed the connection."


@asynccontextmanager
async def patience(request: Request, settings: ProcessSettings) -> AsyncIterator[None]:
    """Gives what is done in the context the time that the caller waits, or the default.

    Raises:
        InvalidArgument: the header that says how long is no number of milliseconds.
        DeadlineExceeded: the time is up.
    """
    timeout_s = _timeout_s(request.headers.get("x-timeout-ms"), settings)
    context.set_deadline(timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"The call did not finish within {timeout_s:.3g} s.") from None


def _timeout_s(header: str | None, settings: ProcessSettings) -> float:
    if header is None:
        return settings.default_timeout_s
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", header):
        message = f"x-timeout-ms must be a whole number of milliseconds, at least 1; it is {header[:32]!r}."
        raise InvalidArgument(message, field="x-timeout-ms")
    return min(int(header) / 1e3, settings.max_timeout_s)
