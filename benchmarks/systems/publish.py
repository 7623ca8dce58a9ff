"""Publishes the workflow with another model: python -m … STEPS MODEL."""

from __future__ import annotations

import sys

from benchmarks.systems import line

if __name__ == "__main__":
    line.publish(int(sys.argv[1]), model=sys.argv[2])
