"""pgbench: the rows of a step in one transaction of prepared statements, without Python.

`rows`: all rows that a step of Scriptorium writes; `four`: one row each of state, document, event and call.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.db import connection

from benchmarks.metrics import Meter
from benchmarks.systems import bulk_rows
from benchmarks.workload import TEXT, Size, database_url, size_from_arguments
from executions import models
from orchestrator.embedded_postgres import supervisor


def run(which: str, size: Size, scope: UUID, *, meter: Meter) -> tuple[list[float], float]:
    """Run pgbench, with sequential executions per client; return the seconds of each transaction, and of the run."""
    each = size.executions // size.in_flight
    where = urlsplit(database_url())
    values = {"per_client": each, "steps": size.steps, "step": 0, "scope": scope, "payload": TEXT}
    command: list[object] = [
        supervisor._programs() / "pgbench",
        *("--host", parse_qs(where.query)["host"][0], "--username", where.username, "--no-vacuum"),
        *("--protocol", "prepared", "--client", size.in_flight, "--transactions", each * size.steps, "--log"),
        *(
            "--file",
            Path(__file__).with_name(f"pgbench_{which}.sql"),
            *(f"--define={name}={value}" for name, value in values.items()),
        ),
        where.path.removeprefix("/"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        with meter:
            subprocess.run([str(word) for word in command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return _read(Path(folder))


def _read(folder: Path) -> tuple[list[float], float]:
    lines = [line.split() for log in folder.glob("pgbench_log.*") for line in log.read_text().splitlines()]
    durations = [int(line[2]) / 1_000_000 for line in lines]
    ended = [int(line[4]) + int(line[5]) / 1_000_000 for line in lines]
    return durations, max(ended) - min(end - each for end, each in zip(ended, durations, strict=True))


if __name__ == "__main__":
    chosen = size_from_arguments()
    which = sys.argv[1]
    if which == "rows":
        pattern = bulk_rows.create_full_rows(chosen.executions, chosen.steps)
    else:
        pattern = bulk_rows.create_minimal_rows(chosen.executions)
    scope_id = models.Execution.objects.get(id=pattern).scope_id
    connection.close()
    measured = Meter(children=True)
    transactions, seconds = run(which, chosen, scope_id, meter=measured)
    # Without memory: the kernel's value for an ended child includes the forked Python process.
    measured.report(gaps=transactions, seconds=seconds, peak_rss_mib=None)
