"""Benchmarks of the product and of other systems, on one machine and in one run."""
