"""Version 1, generated from `protos/triptych/postprocess/v1`."""
