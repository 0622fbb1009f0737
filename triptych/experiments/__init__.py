"""The wire contract of `triptych.experiments`."""
