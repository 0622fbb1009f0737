"""Data sets to train with: imported, cleaned, labelled and split, each step a new immutable version."""
