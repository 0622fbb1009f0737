"""Grafana's dashboards: written from Python, and each query of them proved against a real cluster."""
