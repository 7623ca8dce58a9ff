"""Runs executions one after the other, and prints their durations in seconds."""

from __future__ import annotations

import json
import sys
import time

from django.db import connection

from benchmarks.systems import workload
from benchmarks.workload import size_from_arguments

POLL_SECONDS = 0.01
_DURATION = "SELECT extract(epoch FROM finished_at - created_at) FROM executions_execution WHERE id = %s"

if __name__ == "__main__":
    size = size_from_arguments()
    user = workload.publish(size.steps)
    durations: list[float] = []
    for number in range(size.executions):
        execution_id = workload.start(user, f"one-{number}")
        found = None
        while found is None:
            time.sleep(POLL_SECONDS)
            with connection.cursor() as cursor:
                cursor.execute(_DURATION, [execution_id])
                found = cursor.fetchone()[0]
        durations.append(float(found))
    sys.stdout.write(json.dumps(durations) + "\n")
