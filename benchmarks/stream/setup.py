"""Setup of a measurement: a database, a server, an event writer and clients, in separate processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from subprocess import Popen
from typing import Any

from benchmarks import database, processes
from benchmarks.database import Database
from benchmarks.stream.command_process import CommandProcess, start_command_process
from benchmarks.stream.servers import Server, start_server, wait_until_ready
from tests.e2e.processes import free_port

ARRIVE_SECONDS = 30.0  # timeout after the last commit
WARM_CLIENTS, WARM_EVENTS = 20, 5

_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'scriptorium-notifier'
"""  # the notifier belongs to the event writer


@dataclass(slots=True, kw_only=True)
class StreamSetup:
    """The processes and the database of a measurement."""

    server: Server
    target: Database
    process: Popen[str]
    port: int
    event_writer: CommandProcess
    clients: CommandProcess
    token: str
    ids: list[str]
    other_connections: int  # database connections of other processes than the server
    published: int = 0

    def open(self, clients: int, **options: Any) -> float:
        """Connect clients to the executions, round robin; return the seconds until all streams were open."""
        paths = [self.server.path.format(self.ids[number % len(self.ids)]) for number in range(clients)]
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.clients.request(do="open", port=self.port, paths=paths, headers=headers, **options)
        return float(answer["seconds"])

    def publish(self, events: int, *, per_second: float, readers: int, **options: Any) -> dict[str, Any]:
        """Publish events, and wait until all readers have them; return their commit times."""
        answer = self.event_writer.request(events=events, per_second=per_second, **options)
        self.published += events
        newest = self.published - 1
        numbers = [
            newest - (newest - reader) % len(self.ids) for reader in range(readers)
        ]  # newest event of each reader's execution
        self.clients.request(do="reach", numbers=numbers, seconds=ARRIVE_SECONDS)
        return answer

    def warm_up(self) -> None:
        """Load modules and open connections with the first clients."""
        self.open(WARM_CLIENTS)
        self.publish(WARM_EVENTS * len(self.ids), per_second=20 * len(self.ids), readers=WARM_CLIENTS)
        self.clients.request(do="leave")

    def arrived(self, committed: dict[str, Any], *, each: int) -> dict[str, Any]:
        """Return the number and the delays of the deliveries of published events."""
        return self.clients.request(do="measure", each=each, **committed)

    def connections(self) -> int:
        """Return the number of the server's database connections."""
        return int(processes.query_number(self.target, _CONNECTIONS)) - self.other_connections

    def memory_kib(self) -> float:
        """Return the server's resident memory."""
        return processes.memory_mib(self.process, "VmRSS") * 1024


@contextmanager
def stream_setup(server: Server, *, executions: int = 1) -> Iterator[StreamSetup]:
    """Start the processes of a measurement, and stop them at its end."""
    port = free_port()
    with ExitStack() as stack:
        target = stack.enter_context(database.fresh_database("stream", product=True))
        event_writer = stack.enter_context(
            start_command_process("benchmarks.systems.events.writer", server.fed_by, executions, target=target)
        )
        ready = event_writer.read()
        others = int(processes.query_number(target, _CONNECTIONS))
        process = stack.enter_context(start_server(server, target, port))
        clients = stack.enter_context(start_command_process("benchmarks.stream.clients", target=target))
        wait_until_ready(process, port)
        yield StreamSetup(
            server=server,
            target=target,
            process=process,
            port=port,
            event_writer=event_writer,
            clients=clients,
            token=ready["token"],
            ids=ready["ids"],
            other_connections=others,
        )
