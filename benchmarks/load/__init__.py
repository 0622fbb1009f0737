"""A load generator that costs little itself: requests are prepared bytes, sent over raw sockets from one thread."""
