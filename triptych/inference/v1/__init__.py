"""Version 1, generated from `protos/triptych/inference/v1`."""
