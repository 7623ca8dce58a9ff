"""The start of a process."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection

from common.database import server
from orchestrator.web import lifecycle
from tests.factories.executions import outage
from tests.support.waiting import HANG_SECONDS
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
    preparing.join(HANG_SECONDS)
    connection.close()  # this thread has lost its own as well
    assert Workflow.objects.exists()


def test_a_database_that_does_not_come_back_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "OUTAGE_SECONDS", 0.2)
    with outage(), pytest.raises(Exception, match=r"not currently accepting connections|connection"):
        lifecycle.prepare_embedded_database()


def test_what_has_waited_for_its_database_knows_its_clock(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The first heartbeat of a worker, and the first ticket that a web process reads, go by it."""
    monkeypatch.setattr(server, "server", seen := server.Server())
    settings.DATABASE_URL = "postgresql://of/ones/own"
    assert seen.is_due()
    asyncio.run(lifecycle.wait_for_database())
    assert not seen.is_due()


def test_a_process_does_not_start_with_a_language_that_the_database_lacks(settings: Any) -> None:
    settings.DATABASE_URL = "postgresql://of/ones/own"
    settings.SEARCH_LANGUAGE = "klingon"
    with pytest.raises(CommandError, match=r"SEARCH_LANGUAGE=klingon is no text search configuration.*german"):
        asyncio.run(lifecycle.wait_for_database())
