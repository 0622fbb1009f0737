"""Holds the rules of the auditor: each a pure function from what was rendered to what is wrong with it."""
