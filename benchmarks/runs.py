"""What is compared, and one measurement of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks import database
from benchmarks.environments import ROOT, pinned, python_of, requirements
from benchmarks.workload import Size

RUN_SECONDS = 600.0  # then it hangs

OURS = "benchmarks.systems.ours"

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Something that runs the workload: a module, and its arguments before the size."""

    key: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: str | None = None  # name of its virtual environment; None: the product's own
    package: str = ""  # whose version is shown

    @property
    def shown(self) -> str:
        """Its title with the version that was measured."""
        if self.environment is None:
            return self.title
        return self.title.format(pinned(requirements(self.environment), self.package))


SYSTEMS = (
    System(key="queue", title="**Scriptorium, through its queue**", module=OURS, arguments=("queue",)),
    System(key="direct", title="Scriptorium, its runners alone", module=OURS, arguments=("direct",)),
    System(key="journal", title="Scriptorium, its journal alone", module=OURS, arguments=("journal",)),
    System(
        key="dbos",
        title="DBOS {}, workflows called directly",
        module="benchmarks.peers.dbos_steps",
        environment="dbos",
        package="dbos",
    ),
    System(
        key="dbos-rows",
        title="DBOS {}, its steps writing the rows of a step as well",
        module="benchmarks.peers.dbos_steps",
        arguments=("rows",),
        environment="dbos",
        package="dbos",
    ),
    System(
        key="langgraph",
        title='LangGraph {}, AsyncPostgresSaver, durability="sync"',
        module="benchmarks.peers.langgraph_steps",
        environment="langgraph",
        package="langgraph",
    ),
    System(
        key="langgraph-rows",
        title="LangGraph {}, its nodes writing the rows of a step as well",
        module="benchmarks.peers.langgraph_steps",
        arguments=("rows",),
        environment="langgraph",
        package="langgraph",
    ),
    System(
        key="orm", title="Django ORM, four rows of a step, one transaction per step", module="benchmarks.systems.orm"
    ),
    System(
        key="pgbench",
        title="pgbench, the rows of a step here, one transaction per step, prepared",
        module="benchmarks.systems.pgbench",
        arguments=("rows",),
    ),
    System(
        key="pgbench-four",
        title="pgbench, four rows of a step, one transaction per step, prepared",
        module="benchmarks.systems.pgbench",
        arguments=("four",),
    ),
)


def measure(system: System, size: Size, **environment: str) -> Result:
    """Run a system once, in a fresh database; return what it measured, and the rows that it left."""
    python = sys.executable if system.environment is None else python_of(system.environment)
    with database.fresh(system.key, ours=system.environment is None) as place:
        before = place.counts()
        database.settle()
        done = subprocess.run(
            [python, "-m", system.module, *system.arguments, *size.arguments()],
            cwd=ROOT,
            env={**place.environment(), "WORKER_CONCURRENCY": str(size.in_flight), **environment},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        rows = {table: count - before.get(table, 0) for table, count in place.counts().items()}
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return {**result, "rows": {table: count for table, count in rows.items() if count > 0}}
