"""Runs everything, in turns, and writes down what came out."""
