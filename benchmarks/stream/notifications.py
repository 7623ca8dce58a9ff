"""Cost of notifications for the journal, with several listening web processes."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from subprocess import Popen
from typing import Any

from benchmarks import database, processes
from benchmarks.database import Database
from benchmarks.stream.command_process import start_command_process
from benchmarks.stream.servers import BY_KEY, POLL_SECONDS, START_SECONDS, STREAM_PATH, start_server, wait_until_ready
from benchmarks.workload import Size
from tests.e2e.processes import free_port

_LISTENING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'scriptorium-listener' AND state = 'idle'
"""


def measure(size: Size, *, listeners: int) -> dict[str, Any]:
    """Commit prepared transitions, in alternating batches with and without notifications."""
    with database.fresh_database("notifying", product=True) as target, ExitStack() as stack:
        web = _listen(target, stack, listeners)
        database.checkpoint()
        before = sum(map(processes.cpu_of, web))
        printed = processes.run("benchmarks.systems.events.notifier_cost", *size.arguments(), target=target)
        web_cpu_seconds = sum(map(processes.cpu_of, web)) - before
        return {"listeners": listeners, "web_cpu_seconds": web_cpu_seconds, **json.loads(printed.splitlines()[-1])}


def _listen(target: Database, stack: ExitStack, listeners: int) -> list[Popen[str]]:
    """Start listening web processes, each with a stream of an idle execution; return them."""
    if not listeners:
        return []
    ready = stack.enter_context(
        start_command_process("benchmarks.systems.events.writer", "announce", 1, target=target)
    ).read()
    ports = [free_port() for _ in range(listeners)]
    servers = [stack.enter_context(start_server(BY_KEY["daphne"], target, port)) for port in ports]
    clients = stack.enter_context(start_command_process("benchmarks.stream.clients", target=target))
    for process, port in zip(servers, ports, strict=True):
        wait_until_ready(process, port)
        paths, headers = [STREAM_PATH.format(ready["ids"][0])], {"Authorization": f"Bearer {ready['token']}"}
        clients.request(do="open", port=port, paths=paths, headers=headers)
    deadline = time.monotonic() + START_SECONDS
    while processes.query_number(target, _LISTENING) < listeners:
        assert time.monotonic() < deadline, "the web processes do not listen"
        time.sleep(POLL_SECONDS)
    return servers
