"""The wire contract of `triptych.postprocess`."""
