"""Version 1, generated from `protos/triptych/classification/v1`."""
