"""One module for each step, in the order in which they were made."""
