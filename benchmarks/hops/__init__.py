"""What moving data over one hop costs, for several shapes of the hop: `python -m benchmarks.hops --help`."""
