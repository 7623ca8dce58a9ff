"""What announcements cost the journal, with so many web processes that listen."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from subprocess import Popen
from typing import Any

from benchmarks import database, processes
from benchmarks.database import Database
from benchmarks.stream.servers import BY_KEY, OURS, POLL_SECONDS, START_SECONDS, serving, wait_until_ready
from benchmarks.stream.talk import told
from benchmarks.workload import Size
from tests.e2e.processes import free_port

_LISTENING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'scriptorium-listener' AND state = 'idle'
"""


def measure(size: Size, *, listeners: int) -> dict[str, Any]:
    """Have the journal commit prepared transitions, in turns without announcements and with them."""
    with database.fresh("notifying", ours=True) as place, ExitStack() as stack:
        web = _listen(place, stack, listeners)
        database.settle()
        before = sum(map(processes.cpu_of, web))
        printed = processes.run("benchmarks.systems.announced", *size.arguments(), place=place)
        web_cpu_seconds = sum(map(processes.cpu_of, web)) - before
        return {"listeners": listeners, "web_cpu_seconds": web_cpu_seconds, **json.loads(printed.splitlines()[-1])}


def _listen(place: Database, stack: ExitStack, listeners: int) -> list[Popen[str]]:
    """Have web processes listen: each has a stream of an execution that nothing happens to; return them."""
    if not listeners:
        return []
    ready = stack.enter_context(told("benchmarks.systems.feed", "announce", 1, place=place)).hear()
    ports = [free_port() for _ in range(listeners)]
    started = [stack.enter_context(serving(BY_KEY["daphne"], place, port)) for port in ports]
    crowd = stack.enter_context(told("benchmarks.stream.crowd", place=place))
    for process, port in zip(started, ports, strict=True):
        wait_until_ready(process, port)
        paths, headers = [OURS.format(ready["ids"][0])], {"Authorization": f"Bearer {ready['token']}"}
        crowd.ask(do="open", port=port, paths=paths, headers=headers)
    deadline = time.monotonic() + START_SECONDS
    while processes.ask(place, _LISTENING) < listeners:
        assert time.monotonic() < deadline, "the web processes do not listen"
        time.sleep(POLL_SECONDS)
    return started
