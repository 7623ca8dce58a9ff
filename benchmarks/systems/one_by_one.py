"""Starts one execution after the other, each once the last has ended, and prints how long each took (seconds)."""

from __future__ import annotations

import json
import sys
import time

from django.db import connection

from benchmarks.systems import line
from benchmarks.workload import size_from_arguments

POLL_SECONDS = 0.01
_TOOK = "SELECT extract(epoch FROM finished_at - created_at) FROM executions_execution WHERE id = %s"

if __name__ == "__main__":
    size = size_from_arguments()
    user = line.publish(size.steps)
    took: list[float] = []
    for number in range(size.executions):
        execution_id = line.start(user, f"one-{number}")
        found = None
        while found is None:
            time.sleep(POLL_SECONDS)
            with connection.cursor() as cursor:
                cursor.execute(_TOOK, [execution_id])
                found = cursor.fetchone()[0]
        took.append(float(found))
    sys.stdout.write(json.dumps(took) + "\n")
