"""Experiments at the gateway: which version answers whom, and what is told of it afterwards."""
