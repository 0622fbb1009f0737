"""HTTP adapter of the gateway: the same messages, limits and errors as gRPC, in JSON."""
