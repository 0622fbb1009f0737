"""The rival made with a Triton ensemble."""
