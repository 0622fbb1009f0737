"""Encoded images in, the model's input out. Holds no secret and talks to nobody: it is the sandbox for parsers."""
