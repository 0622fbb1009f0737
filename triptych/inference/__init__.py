"""The wire contract of `triptych.inference`."""
