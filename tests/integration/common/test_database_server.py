"""The database's clock as a process computes it, and the detection of another server."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from common.database import server as database_server
from common.database.server import Server

STARTED = 1_000.0
NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


class Ticks:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """A monotonic clock that the test advances."""
    made = Ticks()
    monkeypatch.setattr(database_server, "_ticks", made)
    return made


def look(server: Server, ticks: Ticks, at: datetime, *, took: float = 0.0, started: float = STARTED) -> None:
    """Have the server's clock read, half of the time before, half of it after the moment."""
    ticks.seconds += took
    server.record_probe(at.timestamp(), started, asked_at=ticks.seconds - took)


def test_before_the_first_look_it_is_this_machines_clock() -> None:
    assert abs(Server().now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_after_a_look_it_goes_on_whatever_this_machines_clock_says(ticks: Ticks) -> None:
    server = Server()
    look(server, ticks, NOON)
    ticks.seconds += 90
    assert server.now() == NOON + timedelta(seconds=90)


@pytest.mark.parametrize(("says", "becomes"), [(0.0, 0.0), (0.3, 0.3), (-0.3, 0.0), (2.0, 2.0), (-2.0, -1.5)])
def test_a_look_changes_only_what_it_proves_wrong(ticks: Ticks, says: float, becomes: float) -> None:
    """An answer that took half a second leaves half a second open: what is reckoned within it stays."""
    server = Server()
    look(server, ticks, NOON)
    ticks.seconds += 0.5
    reckoned = server.now()
    server.record_probe((reckoned + timedelta(seconds=says)).timestamp(), STARTED, asked_at=ticks.seconds - 0.5)
    assert (server.now() - reckoned).total_seconds() == pytest.approx(becomes, abs=1e-5)


def test_a_server_that_was_set_is_followed(ticks: Ticks) -> None:
    server = Server()
    for at in (NOON, NOON + timedelta(hours=1), NOON - timedelta(hours=1)):
        look(server, ticks, at)
        assert server.now() == at


def test_it_is_time_for_a_look_at_first_and_then_now_and_then(ticks: Ticks) -> None:
    server = Server()
    assert server.is_due()
    look(server, ticks, NOON)
    assert not server.is_due()
    ticks.seconds += database_server.PROBE_INTERVAL_SECONDS + 1
    assert server.is_due()


def test_another_start_is_another_server_and_everything_is_forgotten(ticks: Ticks) -> None:
    server, forgotten = Server(), []
    server.on_change(lambda: forgotten.append(server.changes))
    look(server, ticks, NOON)
    look(server, ticks, NOON)
    assert (server.changes, forgotten) == (0, [])
    look(server, ticks, NOON, started=STARTED + 1)
    assert (server.changes, forgotten) == (1, [1])


def test_the_clock_of_another_server_is_taken_as_it_is(ticks: Ticks) -> None:
    server = Server()
    look(server, ticks, NOON)
    look(server, ticks, NOON - timedelta(seconds=0.2), took=0.6, started=STARTED + 1)
    assert server.now() == NOON - timedelta(seconds=0.2)


@pytest.mark.parametrize(("ahead", "said"), [(600, "ahead of"), (-600, "behind"), (0.5, ""), (-0.5, "")])
def test_a_wrong_clock_of_this_machine_is_told_once(caplog: pytest.LogCaptureFixture, ahead: float, said: str) -> None:
    server = Server()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            at = datetime.now(UTC) - timedelta(seconds=ahead)
            server.record_probe(at.timestamp(), STARTED, asked_at=database_server._ticks())
    told = [each for each in caplog.messages if "clock" in each]
    assert len(told) == bool(said)
    assert all(said in each for each in told)
