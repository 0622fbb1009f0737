"""Simulations of experiments that are judged after every event."""
