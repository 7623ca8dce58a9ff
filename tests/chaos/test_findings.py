"""The fault that explains a repeated call."""

from __future__ import annotations

import math

import pytest

from tests.chaos.faults import CLOCK, WORKER_ASLEEP, WORKER_KILLED, Blow
from tests.chaos.findings import EFFECT_SECONDS, cause
from tests.chaos.model_server import Call

EARLIER, LATER = Call("worker-0-1", 100.0, 103.0), Call("worker-1-1", 130.0, 133.0)
LONG = 2 * EFFECT_SECONDS


def blow(name: str, began: float, ended: float, target: str = "") -> Blow:
    return Blow(name, lambda: True, began, ended, target, ended)


@pytest.mark.parametrize(
    ("blows", "expected"),
    [
        ([blow(WORKER_KILLED, 101, 101, "worker-0-1")], WORKER_KILLED),
        ([blow(WORKER_KILLED, 104, 104, "worker-0-1")], WORKER_KILLED),  # its reply was not stored yet
        ([blow(WORKER_KILLED, 101, 101, "worker-1-1")], None),  # another worker
        ([blow(WORKER_KILLED, 103 + LONG, 103 + LONG, "worker-0-1")], None),  # too late
        ([blow(WORKER_ASLEEP, 101, 111, "worker-0-1")], WORKER_ASLEEP),
        ([blow(WORKER_ASLEEP, 119, 129, "worker-1-1")], WORKER_ASLEEP),  # it sent what it had announced before
        ([blow(WORKER_ASLEEP, 131, 141, "worker-1-1")], None),
        ([blow("failover", 95, math.inf)], "failover"),
        ([blow("failover", 60, 100 - LONG)], None),
        ([blow("failover", 104, 140), blow(WORKER_KILLED, 145, 145, "worker-0-1")], WORKER_KILLED),
        ([blow("web killed", 101, 101, "web-0-1"), blow(CLOCK, 101, 101, "worker-0-1")], None),
        ([], None),
    ],
)
def test_a_call_that_was_made_again_needs_a_blow_on_the_one_before(blows: list[Blow], expected: str | None) -> None:
    found = cause(EARLIER, LATER, blows)
    assert (found.name if found is not None else None) == expected
