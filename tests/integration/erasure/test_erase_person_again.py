"""`manage.py erase_person`, stopped at some place and run again with the same name: nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import ProgrammingError, connection

from executions.db_threads import in_thread
from executions.services.erasure import executions as erasing
from tests.integration.erasure import story as stories
from tests.integration.erasure.dump import dump, lines_with
from tests.integration.erasure.story import EMAIL, FAMILY, MARKER, NAME
from tests.integration.erasure.test_erase_person import erase

pytestmark = [pytest.mark.django_db(transaction=True)]

_STOP = """
CREATE SEQUENCE stops;
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('stops') = {number} THEN RAISE EXCEPTION 'stopped'; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER stop AFTER UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION stop()
"""


@contextmanager
def stopped_at(table: str, number: int) -> Iterator[None]:
    """Have the statement with this number that changes a table fail, as if the process had ended there."""
    with connection.cursor() as cursor:
        cursor.execute(_STOP.format(table=table, number=number))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION stop() CASCADE")
            cursor.execute("DROP SEQUENCE stops")


@pytest.mark.parametrize(
    ("table", "number"),
    [
        ("documents_documentversion", 1),
        ("documents_documentversion", 5),
        ("executions_executionevent", 1),
        ("telemetry_modelcall", 9),
        ("executions_executionstep", 3),
        ("executions_inboxentry", 2),
        ("documents_document", 12),
        ("access_user", 2),
    ],
)
async def test_a_stopped_command_is_run_again(table: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "BATCH_SIZE", 1)
    await stories.tell()
    await in_thread(_check_all_goes, table, number)


def _check_all_goes(table: str, number: int) -> None:
    with stopped_at(table, number), pytest.raises(ProgrammingError, match="stopped"):
        erase(derived=True)
    erase(derived=True)
    left = dump()
    for text in (MARKER, NAME, EMAIL, FAMILY):
        assert not lines_with(text, of=left), text
