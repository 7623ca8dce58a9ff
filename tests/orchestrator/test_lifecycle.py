"""How a process comes up."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from orchestrator import lifecycle
from tests.executions.moves import outage
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_database_that_is_lost_while_it_is_prepared_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    Workflow.objects.all().delete()

    def prepare() -> None:
        lifecycle.prepare_embedded_database()
        connection.close()  # this thread's

    preparing = threading.Thread(target=prepare)
    with outage():
        preparing.start()
        while "the preparation of the database" not in caplog.text:
            preparing.join(0.05)
            assert preparing.is_alive()
    preparing.join(30)
    connection.close()  # this thread has lost its own as well
    assert Workflow.objects.exists()


def test_a_database_that_does_not_come_back_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "AWAY_SECONDS", 0.2)
    with outage(), pytest.raises(Exception, match=r"not currently accepting connections|connection"):
        lifecycle.prepare_embedded_database()
