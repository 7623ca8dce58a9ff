"""Lists of executions: order, pages and filters."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import ids, pointers

pytestmark = pytest.mark.django_db


def test_the_list_is_newest_first_and_shows_what_details_show(ada: Caller, report: int) -> None:
    older = reports.finish(reports.start(ada.user))
    newer = reports.ask(reports.start(ada.user, key="beta"))
    rows = ada.get("/executions").json()["data"]
    assert rows == [ada.get(f"/executions/{each.id}").json() for each in (newer, older)]


def test_pages_hold_each_execution_once_though_others_are_started_meanwhile(ada: Caller, report: int) -> None:
    started = [str(reports.start(ada.user).id) for _ in range(5)]
    first = ada.get("/executions/", {"limit": 2}).json()
    reports.start(ada.user)
    second = ada.get("/executions/", {"limit": 2, "cursor": first["next_cursor"]}).json()
    third = ada.get("/executions/", {"limit": 2, "cursor": second["next_cursor"]}).json()
    seen = [row["execution_id"] for page in (first, second, third) for row in page["data"]]
    assert seen == started[::-1]
    assert third["next_cursor"] is None


def test_a_page_takes_as_many_queries_for_many_executions_as_for_one(ada: Caller, report: int) -> None:
    reports.start(ada.user)
    with CaptureQueriesContext(connection) as for_one:
        assert len(ids(ada)) == 1
    for _ in range(4):
        reports.start(ada.user)
    with CaptureQueriesContext(connection) as for_many:
        assert len(ids(ada)) == 5
    assert len(for_many) == len(for_one) > 0


def test_filters_narrow_the_list(ada: Caller, report: int) -> None:
    waiting = reports.ask(reports.start(ada.user, tags=["pilot", "city"]))
    failed = reports.fail(reports.start(ada.user, key="beta"))
    pending = reports.start(ada.user, key="gamma", tags=["city"])
    everything = [str(each.id) for each in (pending, failed, waiting)]
    assert ids(ada) == everything
    assert ids(ada, status="waiting") == [str(waiting.id)]
    assert ids(ada, status=["failed", "pending"]) == [str(pending.id), str(failed.id)]
    assert ids(ada, waiting_on="clarification") == [str(waiting.id)]
    assert ids(ada, tag="city") == [str(pending.id), str(waiting.id)]
    assert ids(ada, tag="cit") == []
    assert ids(ada, scope_type="project", scope_id="beta") == [str(failed.id)]
    assert ids(ada, scope_type="epic") == []
    assert ids(ada, workflow_id="report") == everything
    assert ids(ada, workflow_id="other") == []
    assert ids(ada, created_after=failed.created_at.isoformat()) == [str(pending.id), str(failed.id)]
    assert ids(ada, created_before=failed.created_at.isoformat()) == [str(waiting.id)]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"created_after": "yesterday"},
        {"waiting_on": "rain"},
        {"statuss": "failed"},
        {"cursor": "x"},
        {"limit": "201"},
        {"tag": "nul\x00"},
    ],
)
def test_a_wrong_or_unknown_filter_is_refused(ada: Caller, query: dict[str, str]) -> None:
    response = ada.get("/executions/", query)
    assert response.status_code == 422
    assert {pointer.split("/")[1] for pointer in pointers(response)} == set(query)
