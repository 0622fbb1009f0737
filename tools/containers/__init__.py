"""Builds the images and proves them: `make images`, `make e2e-containers`."""
