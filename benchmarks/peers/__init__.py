"""Other systems with the same workload, each in a virtual environment of its own."""
