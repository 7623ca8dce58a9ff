"""New documents get into the text index, without a delay of what executions write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from access.user import User
from common.database.server import database_now
from documents.models import Document
from documents.search import index
from executions.db_threads import in_thread
from executions.worker import duties
from tests.factories.documents import scope_of, store

BATCH = 2


@pytest.mark.parametrize(
    ("is_busy", "oldest_seconds", "indexed"),
    [
        pytest.param(False, 1.0, 5, id="an idle worker indexes all"),
        pytest.param(True, 1.0, BATCH, id="a busy worker indexes one batch"),
        pytest.param(True, duties.INDEX_DELAY_SECONDS + 1, 5, id="no document waits for long"),
    ],
)
async def test_documents_wait_for_the_index_while_a_worker_is_busy(
    ann: User, monkeypatch: pytest.MonkeyPatch, is_busy: bool, oldest_seconds: float, indexed: int
) -> None:
    monkeypatch.setattr(index, "BATCH_DOCUMENTS", BATCH)

    def fill() -> None:
        for number in range(5):
            written = database_now() - timedelta(seconds=oldest_seconds if number == 0 else 0)
            store(scope_of(ann, f"scope-{number}"), created_at=written)

    await in_thread(fill)
    await duties.index_new_documents(is_busy=lambda: is_busy)
    assert await in_thread(Document.objects.filter(search__isnull=False).count) == indexed
