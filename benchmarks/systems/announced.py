"""The journal alone, with its announcements or without: python -m … announce|quiet EXECUTIONS STEPS IN_FLIGHT."""

from __future__ import annotations

import sys

from django.db import connection

from benchmarks.systems import line, ours
from benchmarks.workload import size_from_arguments
from executions import batch

if __name__ == "__main__":
    if sys.argv[1] == "quiet":
        batch.announce = lambda execution_id: None  # type: ignore[attr-defined]
    size = size_from_arguments()
    started = line.start_all(size)
    connection.close()
    ours.journal(size, started)
