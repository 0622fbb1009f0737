"""Version 1, generated from `protos/triptych/preprocess/v1`."""
