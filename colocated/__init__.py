"""The gateway and the three services in one process: no hop between them, one pod, one thing to run."""
