"""One server with its feed and its clients, each a process of its own, on a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from subprocess import Popen
from typing import Any

from benchmarks import database, processes
from benchmarks.database import Database
from benchmarks.stream.servers import Server, serving, wait_until_ready
from benchmarks.stream.talk import Told, told
from tests.e2e.processes import free_port

ARRIVE_SECONDS = 30.0  # after the last event was committed
WARM_CLIENTS, WARM_EVENTS = 20, 5

_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'scriptorium-notifier'
"""  # the notifier is the feed's


@dataclass(slots=True, kw_only=True)
class Scene:
    """What a measurement plays with."""

    server: Server
    place: Database
    process: Popen[str]
    port: int
    feed: Told
    crowd: Told
    token: str
    ids: list[str]
    other_connections: int  # to the database, without the server's
    published: int = 0

    def open(self, clients: int, **how: Any) -> float:
        """Have so many clients follow the executions in turn; return the seconds until all streams were open."""
        paths = [self.server.path.format(self.ids[number % len(self.ids)]) for number in range(clients)]
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.crowd.ask(do="open", port=self.port, paths=paths, headers=headers, **how)
        return float(answer["seconds"])

    def publish(self, events: int, *, per_second: float, readers: int, **how: Any) -> dict[str, Any]:
        """Publish events, and wait for each of the readers to have them; return when each was committed."""
        answer = self.feed.ask(events=events, per_second=per_second, **how)
        self.published += events
        newest = self.published - 1
        numbers = [newest - (newest - reader) % len(self.ids) for reader in range(readers)]  # of each one's execution
        self.crowd.ask(do="reach", numbers=numbers, seconds=ARRIVE_SECONDS)
        return answer

    def warm_up(self) -> None:
        """Have everything loaded and connected that the first clients bring about."""
        self.open(WARM_CLIENTS)
        self.publish(WARM_EVENTS * len(self.ids), per_second=20 * len(self.ids), readers=WARM_CLIENTS)
        self.crowd.ask(do="leave")

    def arrived(self, committed: dict[str, Any], *, each: int) -> dict[str, Any]:
        """Return what arrived of published events, and how long after their commits."""
        return self.crowd.ask(do="measure", each=each, **committed)

    def connections(self) -> int:
        """Return the number of the server's connections to the database."""
        return int(processes.ask(self.place, _CONNECTIONS)) - self.other_connections

    def memory_kib(self) -> float:
        """Return the server's resident memory."""
        return processes.memory_mib(self.process, "VmRSS") * 1024


@contextmanager
def scene(server: Server, *, executions: int = 1) -> Iterator[Scene]:
    """Provide all of it; it ends with the measurement."""
    port = free_port()
    with ExitStack() as stack:
        place = stack.enter_context(database.fresh("stream", ours=True))
        feed = stack.enter_context(told("benchmarks.systems.feed", server.fed_by, executions, place=place))
        ready = feed.hear()
        others = int(processes.ask(place, _CONNECTIONS))
        process = stack.enter_context(serving(server, place, port))
        crowd = stack.enter_context(told("benchmarks.stream.crowd", place=place))
        wait_until_ready(process, port)
        yield Scene(
            server=server,
            place=place,
            process=process,
            port=port,
            feed=feed,
            crowd=crowd,
            token=ready["token"],
            ids=ready["ids"],
            other_connections=others,
        )
