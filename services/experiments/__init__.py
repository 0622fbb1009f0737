"""Compares versions of a model in production, and says which one is better, without being fooled by looking often."""
