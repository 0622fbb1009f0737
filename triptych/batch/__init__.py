"""The wire contract of `triptych.batch`."""
