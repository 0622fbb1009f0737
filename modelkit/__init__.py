"""The life of a model before it serves: import, export and publishing into a Triton model repository.

Nothing here runs while requests are served. Only modules that need torch import it.
"""
