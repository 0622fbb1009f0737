"""Trains image classifiers: one recipe in, one run folder out.

Recipes, schedules, sampling and run folders are pure; only the modules that compute import torch.
"""
