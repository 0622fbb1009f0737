"""A simulation of the cluster: how many replicas a rate of images needs, and what becomes the wall."""
