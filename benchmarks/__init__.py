"""Programs that measure; each prints what it measured, and the limit beside it."""
