"""Version 1, generated from `protos/triptych/tensor/v1`."""
