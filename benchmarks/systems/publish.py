"""Publishes the workflow with a given model: python -m … STEPS MODEL."""

from __future__ import annotations

import sys

from benchmarks.systems import workload

if __name__ == "__main__":
    workload.publish(int(sys.argv[1]), model=sys.argv[2])
