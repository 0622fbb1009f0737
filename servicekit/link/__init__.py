"""Links: calls between processes of a cluster without HTTP/2, over frames that protos/triptych/link describes.

A link carries the same methods, messages, metadata, deadlines, cancellations and errors as gRPC does, through the same
layers, for a quarter of the CPU: a gRPC call wakes three threads on each side, a frame none. `server` serves registered
servicers beside their gRPC port; `channel` is what stubs need of a `grpc.aio.Channel`; `peer` keeps one connection.
"""
