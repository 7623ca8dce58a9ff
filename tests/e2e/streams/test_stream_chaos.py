"""Each event exactly once and in order, while all parts between table and client fail repeatedly."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import SERVERS
from tests.e2e.streams.stream_chaos import CLIENTS, EXECUTIONS, Fire

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

EVENTS = int(os.environ.get("FIRE_EVENTS", "5000"))
SEED = int(os.environ.get("FIRE_SEED", "1"))


@pytest.mark.parametrize("server", SERVERS)
def test_each_event_exactly_once_whatever_is_broken(
    data_dir: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fire = Fire(data_dir, server, events=EVENTS, seed=SEED)
    fire.run()
    with capsys.disabled():
        sys.stdout.write(f"\nsurvived on {fire}\n")
    assert fire.faults == []
    assert fire.counted["events"] == (CLIENTS // EXECUTIONS + 1) * EVENTS
    assert fire.reconnects >= 250
    assert min(fire.did[each] for each in ("LISTEN connections cut", "web processes killed")) > 0
    assert any(what.startswith("PostgreSQL restarted") for what in fire.did)
