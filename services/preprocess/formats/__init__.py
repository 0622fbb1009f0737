"""One module per image format: reads what must be known before a decoder may run, in plain Python and bounded time."""
