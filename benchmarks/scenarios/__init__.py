"""Benchmarks of one question each, as `python -m benchmarks.scenarios.…`."""
