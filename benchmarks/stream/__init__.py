"""Benchmarks of live streams."""
