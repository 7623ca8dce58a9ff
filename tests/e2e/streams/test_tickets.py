"""Access to streams on real servers: by header, ticket or cookie, and only while it is granted."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, PASSWORD, Machine, start_execution, stream, wait_for_status, wait_until
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

OPEN_BRIEF = "# Ferry\n\nThe town runs one ferry. It is undecided whether to buy a second one or to extend the hours."
ACCESS = {  # what the servers log of requests
    "daphne": [b"/stream 200", b"/stream 401", b"HTTP b'GET'"],
    "uvicorn": [b'/stream?ticket= HTTP/1.1" 200', b'/stream?ticket= HTTP/1.1" 401'],
}


class Reader(threading.Thread):
    """Follows a stream in a thread; `ended` says how: cleanly, or by an error."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__(daemon=True)
        self.text = ""
        self.status = 0
        self.ended: str | None = None
        self._client, self._path = client, path

    def run(self) -> None:
        try:
            with self._client.stream("GET", self._path) as response:
                self.status = response.status_code
                for part in response.iter_text():
                    self.text += part
            self.ended = "cleanly"
        except httpx.TransportError as error:
            self.ended = repr(error)


@contextmanager
def reading(*asked: tuple[httpx.Client, str]) -> Iterator[list[Reader]]:
    """Follow streams, each from when its first event is there."""
    readers = [Reader(client, path) for client, path in asked]
    for each in readers:
        each.start()
    wait_until(lambda: all("id: 1\n" in each.text for each in readers), what="the first events")
    yield readers
    for each in readers:
        each.join(HANG_SECONDS)


def anonymous(machine: Machine) -> httpx.Client:
    return httpx.Client(base_url=f"{machine.url}/api/v1", timeout=HANG_SECONDS)


@contextmanager
def logged_in(machine: Machine, name: str) -> Iterator[httpx.Client]:
    """Provide a client with a session, as a browser has one."""
    machine.token(name)
    with anonymous(machine) as client:
        client.get(f"{machine.url}/login/")
        form = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"], "next": ""}
        assert client.post(f"{machine.url}/login/", data=form).status_code == 302
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        yield client


def ticket_for(client: httpx.Client, execution_id: str, **body: Any) -> str:
    response = client.post(f"/executions/{execution_id}/stream-tickets", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["ticket"])


def sql(machine: Machine, statement: str) -> None:
    machine.manage("shell", "-c", f"from django.db import connection; connection.cursor().execute({statement!r})")


def waiting(machine: Machine, client: httpx.Client, key: str) -> str:
    """Return an execution that waits for an answer."""
    execution_id = start_execution(client, OPEN_BRIEF, key=key)
    wait_for_status(client, execution_id, "waiting")
    return execution_id


@pytest.mark.torture
def test_header_ticket_and_cookie_open_a_stream_and_each_is_asked_again_while_it_lives(fresh: Machine) -> None:
    fresh.serve(STREAM_RECHECK_SECONDS="0.5")
    with fresh.client() as header, logged_in(fresh, "alice") as cookie, anonymous(fresh) as anonymous_client:
        execution_id = waiting(fresh, header, "p1")
        path = f"/executions/{execution_id}/stream"
        by_ticket = f"{path}?ticket={ticket_for(header, execution_id)}"
        by_ticket_of_a_session = f"{path}?ticket={ticket_for(cookie, execution_id)}"
        asked = (
            (header, path),
            (anonymous_client, by_ticket),
            (cookie, path),
            (anonymous_client, by_ticket_of_a_session),
        )
        with reading(*asked) as readers:
            assert header.delete("/auth/token").status_code == 204
            wait_until(lambda: readers[0].ended and readers[1].ended, what="the end of what the token opened")
            assert [each.ended for each in readers] == ["cleanly", "cleanly", None, None]
            assert header.get(path).status_code == anonymous_client.get(by_ticket).status_code == 401
            form = {"csrfmiddlewaretoken": cookie.cookies["csrftoken"]}
            assert cookie.post(f"{fresh.url}/logout/", data=form).status_code == 302
            wait_until(lambda: readers[2].ended and readers[3].ended, what="the end of what the session opened")
        assert [(each.status, each.ended) for each in readers] == [(200, "cleanly")] * 4
        assert cookie.get(path).status_code == anonymous_client.get(by_ticket_of_a_session).status_code == 401
        assert "Traceback" not in fresh.logs()


@pytest.mark.torture
def test_a_role_that_is_taken_away_and_a_user_who_is_let_go_end_streams(fresh: Machine) -> None:
    fresh.serve(STREAM_RECHECK_SECONDS="0.5")
    with fresh.client() as alice, fresh.client("bob") as bob, anonymous(fresh) as anonymous_client:
        execution_id = waiting(fresh, alice, "p1")
        path = f"/executions/{execution_id}/stream"
        assert bob.get(path).status_code == bob.post(f"/executions/{execution_id}/stream-tickets").status_code == 404
        sql(
            fresh,
            "INSERT INTO access_scoperole (scope_id, user_id, role, created_at) SELECT scope_id, "
            "(SELECT id FROM access_user WHERE username = 'bob'), 'viewer', now() FROM access_scoperole",
        )
        by_ticket = f"{path}?ticket={ticket_for(bob, execution_id)}"
        with reading((alice, path), (bob, path), (anonymous_client, by_ticket)) as readers:
            sql(fresh, "DELETE FROM access_scoperole WHERE role = 'viewer'")
            wait_until(lambda: readers[1].ended and readers[2].ended, what="the end of Bob's streams")
            assert bob.get(path).status_code == anonymous_client.get(by_ticket).status_code == 404
            assert readers[0].ended is None
            sql(fresh, "UPDATE access_user SET is_active = false")
        assert [each.ended for each in readers] == ["cleanly"] * 3
        assert alice.get(path).status_code == 401


@pytest.mark.torture
def test_a_stream_that_reaches_its_age_is_gone_on_with_and_nothing_is_lost(fresh: Machine) -> None:
    fresh.serve(STREAM_MAX_AGE_SECONDS="0.5", REHEARSAL_LATENCY_SECONDS="1")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        seen: list[int] = []
        names: list[str] = []
        connections = 0
        while "complete" not in names:
            connections += 1
            for sequence, name, _ in stream(client, execution_id, after=len(seen)):
                seen.append(sequence)
                names.append(name)
        assert seen == list(range(1, len(seen) + 1))
        assert connections > 2
        response = client.get(f"/executions/{execution_id}/stream", headers={"Last-Event-ID": str(seen[-1])})
        assert response.status_code == 204


@pytest.mark.torture
def test_an_old_log_is_pruned_by_a_worker_and_clients_are_told(fresh: Machine) -> None:
    server = fresh.serve()
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes")
        wait_for_status(client, execution_id, "completed")
        last = [sequence for sequence, _, _ in stream(client, execution_id)][-1]
        sql(fresh, "UPDATE executions_execution SET finished_at = finished_at - interval '2 days'")
        server.terminate()
        assert server.wait(HANG_SECONDS) == fresh.exit_code(signal.SIGTERM)
        fresh.serve(EVENT_RETENTION_DAYS="1")
        path = f"/executions/{execution_id}/events"
        wait_until(lambda: client.get(path).json()["oldest"] == last, what="the pruning")
        events = [(sequence, name, data.get("data")) for sequence, name, data in stream(client, execution_id)]
        assert events[0] == (last - 1, "stream-reset", {"oldest": last, "asked": 0})
        assert [(sequence, name) for sequence, name, _ in events[1:]] == [(last, "complete")]
        assert client.get(f"/executions/{execution_id}").json()["status"] == "completed"


def written_by(directory: Path) -> bytes:
    """Return everything that the processes of an installation have left: logs, and whatever else."""
    return b"\n".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def hidden(text: str) -> re.Pattern[bytes]:
    """Return what finds a ticket, escaped or not, and its signature alone."""
    signature = re.escape(text.rpartition(":")[2])
    return re.compile(f"{re.escape(text)}|{re.escape(text.replace(':', '%3A'))}|{signature}".encode())


@pytest.mark.torture
def test_a_ticket_is_in_no_log_whatever_goes_wrong_and_however_much_is_logged(either: Machine) -> None:
    either.environment |= {
        "DJANGO_SETTINGS_MODULE": "tests.e2e.streams.debug_settings",
        "LOG_LEVEL": "DEBUG",
        "DEBUG": "1",
        "PYTHONASYNCIODEBUG": "1",
    }
    either.serve("--no-worker", "--access-log")
    either.start("worker")
    with either.client() as alice, anonymous(either) as anonymous_client:
        done = start_execution(alice, CLOSED_BRIEF, workflow_id="meeting-minutes", key="p1")
        wait_for_status(alice, done, "completed")
        open_id = waiting(either, alice, "p2")
        short = ticket_for(alice, done, seconds=1)
        tickets = [short, *(ticket_for(alice, each) for each in (done, open_id, open_id))]
        done_ticket, open_ticket = tickets[1], tickets[2]

        def get(path: str, ticket: str, **options: Any) -> int:
            answer = anonymous_client.get(f"{path}?ticket={ticket}", **options)
            assert not hidden(ticket).search(answer.content)
            return answer.status_code

        assert get(f"/executions/{done}/stream", done_ticket) == 200
        assert get(f"/executions/{done}/stream", done_ticket.replace(":", "%3A")) == 200
        assert get(f"/executions/{done}/stream", open_ticket) == 401
        assert get(f"/executions/{done}/stream", open_ticket[:-1]) == 401
        assert get(f"/executions/{done}/stream/", done_ticket, headers={"Host": "evil.example"}) == 400
        assert get(f"/executions/{done}/stream", done_ticket, headers={"Last-Event-ID": "x"}) == 400
        assert get(f"/executions/{done}/events", done_ticket) == 401
        assert get(f"/executions/{done}/events", done_ticket, headers=dict(alice.headers)) == 422
        assert get("/nowhere", done_ticket) == 404
        assert get(f"{either.url}/executions/", done_ticket) == 302
        assert get(f"{either.url}/admin/", done_ticket) == 302
        assert get(f"{either.url}/healthz", done_ticket, headers={"Host": "evil.example"}) in {200, 400}
        assert anonymous_client.post(f"/executions/{done}/cancel?ticket={done_ticket}").status_code == 401
        assert anonymous_client.delete(f"/executions/{done}/stream?ticket={done_ticket}").status_code == 405
        wait_until(lambda: get(f"/executions/{done}/stream", short) == 401, what="the end of a ticket")
        with anonymous_client.stream("GET", f"/executions/{open_id}/stream?ticket={open_ticket}") as left:
            assert next(left.iter_text()).startswith("retry:")  # and the client goes

        sql(either, "ALTER TABLE access_scoperole RENAME TO gone")
        assert get(f"/executions/{open_id}/stream", open_ticket) == 500
        assert get(f"/executions/{open_id}", open_ticket, headers=dict(alice.headers)) == 500
        sql(either, "ALTER TABLE gone RENAME TO access_scoperole")
        note = instance.home_of(either.data_dir) / "data" / "postmaster.pid"
        with reading((anonymous_client, f"/executions/{open_id}/stream?ticket={open_ticket}")):
            os.kill(int(note.read_text().split()[0]), signal.SIGKILL)
            get(f"/executions/{done}/stream", done_ticket)
            wait_until(lambda: _is_back(alice, open_id), what="the database")
            assert get(f"/executions/{done}/stream", done_ticket) == 200
            either.stop()
        everything = written_by(either.data_dir)
    for line in (
        *ACCESS[either.server],
        b"SELECT",
        b"terminating connection",
        b"ProgrammingError",
        b"Using selector",
    ):
        assert line in everything, line  # it was loud
    for ticket in tickets:
        assert not hidden(ticket).search(everything)


def _is_back(client: httpx.Client, execution_id: str) -> bool:
    return client.get(f"/executions/{execution_id}").status_code == 200
