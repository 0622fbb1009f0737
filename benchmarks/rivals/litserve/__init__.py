"""The rival made with LitServe."""
