"""TensorRT: whether it takes a graph, which needs no GPU, and the plans that it builds for one."""
