"""Runs the whole cluster as processes on one machine."""
