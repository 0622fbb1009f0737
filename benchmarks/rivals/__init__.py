"""Servers made with other frameworks that compute what Triptych computes: see README.md in this folder."""
