"""Starts executions through the service: python -m … EXECUTIONS STEPS IN_FLIGHT."""

from __future__ import annotations

from benchmarks.systems import workload
from benchmarks.workload import size_from_arguments

if __name__ == "__main__":
    workload.start_all(size_from_arguments())
