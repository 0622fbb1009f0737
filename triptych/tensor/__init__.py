"""The wire contract of `triptych.tensor`."""
