"""Logits in, ranked labels out."""
