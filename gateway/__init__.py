"""The front door: gRPC and HTTP in, the chain preprocess | inference | postprocess behind it."""
