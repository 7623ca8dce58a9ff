"""The compared systems, and one measurement of a system."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks import database
from benchmarks.environments import RESTATE_SERVER, ROOT, pinned, python_of, requirements, restate_server
from benchmarks.workload import Size

RUN_SECONDS = 600.0  # timeout

SCRIPTORIUM = "benchmarks.systems.scriptorium"

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system that runs the workload: a module, and its arguments before the size."""

    key: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: str | None = None  # name of its virtual environment; None: that of the product
    package: str = ""  # its version is displayed
    program: str | None = None  # the machine must have it; None: no other program is needed

    @property
    def is_runnable(self) -> bool:
        """Whether the machine has what the system needs."""
        return self.program is None or shutil.which(self.program) is not None

    @property
    def shown(self) -> str:
        """Title with the measured version."""
        if self.environment is None:
            return self.title
        return self.title.format(pinned(requirements(self.environment), self.package))


SYSTEMS = (
    System(key="queue", title="**Scriptorium, through its queue**", module=SCRIPTORIUM, arguments=("queue",)),
    System(key="direct", title="Scriptorium, only its runners", module=SCRIPTORIUM, arguments=("direct",)),
    System(key="journal", title="Scriptorium, only its journal", module=SCRIPTORIUM, arguments=("journal",)),
    System(
        key="dbos",
        title="DBOS {}, workflows called directly",
        module="benchmarks.peers.dbos_steps",
        environment="dbos",
        package="dbos",
    ),
    System(
        key="dbos-rows",
        title="DBOS {}, with the rows of a step",
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
        title="LangGraph {}, with the rows of a step",
        module="benchmarks.peers.langgraph_steps",
        arguments=("rows",),
        environment="langgraph",
        package="langgraph",
    ),
    System(
        key="restate",
        title=f"Restate {RESTATE_SERVER}, SDK {{}}, one Hypercorn worker",
        module="benchmarks.peers.restate_steps",
        environment="restate",
        package="restate-sdk",
        program="npm",
    ),
    System(
        key="orm", title="Django ORM, four rows of a step, one transaction per step", module="benchmarks.systems.orm"
    ),
    System(
        key="pgbench",
        title="pgbench, all rows of a step of Scriptorium, one transaction per step, prepared",
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
    """Run a system once in a new database; return its measurements and the number of stored rows."""
    if system.program == "npm":
        environment["RESTATE_SERVER"] = str(restate_server())
    python = sys.executable if system.environment is None else python_of(system.environment)
    with database.fresh_database(system.key, product=system.environment is None) as target:
        before = target.counts()
        database.checkpoint()
        process = subprocess.run(
            [python, "-m", system.module, *system.arguments, *size.arguments()],
            cwd=ROOT,
            env={**target.environment(), "WORKER_CONCURRENCY": str(size.in_flight), **environment},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        rows = {table: count - before.get(table, 0) for table, count in target.counts().items()}
    result: Result = json.loads(process.stdout.splitlines()[-1])
    return {**result, "rows": {table: count for table, count in rows.items() if count > 0}}
