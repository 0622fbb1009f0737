"""The typed client of the gateway's gRPC API.

What to send (`requests`), what comes back (`results`, `errors`) and when to try again (`retry`) are decided by pure
functions; `sync` and `aio` only do the calls.
"""
