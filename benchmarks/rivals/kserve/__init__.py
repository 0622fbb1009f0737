"""The rival made with KServe."""
