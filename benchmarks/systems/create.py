"""Accepts executions through the service, for others to run: python -m … EXECUTIONS STEPS IN_FLIGHT."""

from __future__ import annotations

from benchmarks.systems import line
from benchmarks.workload import size_from_arguments

if __name__ == "__main__":
    line.start_all(size_from_arguments())
