"""Version 1, generated from `protos/triptych/experiments/v1`."""
