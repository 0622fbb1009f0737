"""Version 1, generated from `protos/triptych/batch/v1`."""
