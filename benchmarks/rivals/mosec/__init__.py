"""The rival made with Mosec."""
