"""The wire contract of `triptych.classification`."""
