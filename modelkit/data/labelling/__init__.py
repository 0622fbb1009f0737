"""Labelling by people: a queue of doubtful images, a local page, label files, and the version that they make."""
