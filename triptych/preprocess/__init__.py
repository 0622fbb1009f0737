"""The wire contract of `triptych.preprocess`."""
