"""Checks the Helm chart without a cluster: renders every scenario, and holds what comes out against rules."""
