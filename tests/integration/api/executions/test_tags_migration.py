"""The upgrade lists the tags of executions that exist, in batches, and can be stopped and run again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from executions.models import ExecutionTag
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import ids

pytestmark = pytest.mark.django_db(transaction=True)

OLD, LISTED, INDEXES = "0014_scope_retention", "0015_tags", "0016_list_indexes"
#: As if the last migration had been stopped when some indexes were made, and while one was being made.
_LEFT = """
CREATE INDEX execution_of_status ON executions_execution (status);
CREATE INDEX execution_in_scope ON executions_execution (scope_id)"""


def migrate(name: str | None = None) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("executions", name)] if name else executor.loader.graph.leaf_nodes("executions"))


@pytest.fixture
def old_tables(transactional_db: None) -> Iterator[None]:
    yield
    migrate()


def test_the_upgrade_lists_the_tags_that_exist(
    ada: Caller, report: int, old_tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [reports.start(ada.user, tags=tags) for tags in (["pilot", "city"], [], ["city"])]
    migrate(OLD)
    migrate(LISTED)
    meanwhile = reports.start(ada.user, tags=["city"])  # by a worker of the version before
    module = type(MigrationExecutor(connection).loader.get_migration("executions", INDEXES)).__module__
    monkeypatch.setattr(f"{module}.BATCH", 1)
    with connection.cursor() as cursor:
        cursor.execute(_LEFT)
    migrate()
    listed = ExecutionTag.objects.order_by("tag", "created_at").values_list("tag", "execution_id", "created_at")
    assert list(listed) == [
        *(("city", each.id, each.created_at) for each in (made[0], made[2], meanwhile)),
        ("pilot", made[0].id, made[0].created_at),
    ]
    assert ids(ada, tag="city") == [str(each.id) for each in (meanwhile, made[2], made[0])]
