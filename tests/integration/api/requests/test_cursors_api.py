"""A cursor belongs to one list and its filters."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import reports
from tests.factories.callers import Caller

pytestmark = pytest.mark.django_db

LATE = "2026-01-01T00:00:00Z"


def refusal(caller: Caller, path: str, query: dict[str, Any]) -> str:
    response = caller.get(path, query)
    assert response.status_code == 422, response.content
    [fault] = response.json()["errors"]
    assert fault["pointer"] == "/cursor"
    detail: str = fault["detail"]
    return detail


@pytest.fixture
def cursor(ada: Caller, report: int) -> str:
    """The cursor of the second page of Ada's executions in a scope."""
    for _ in range(3):
        reports.finish(reports.start(ada.user))
    found: str = ada.get("/executions/", {"limit": 1, "scope_type": "project", "scope_id": "alpha"}).json()[
        "next_cursor"
    ]
    return found


def test_the_order_of_filters_and_the_limit_may_change(ada: Caller, cursor: str) -> None:
    same = {"scope_id": "alpha", "cursor": cursor, "limit": 2, "scope_type": "project"}
    assert len(ada.get("/executions/", same).json()["data"]) == 2


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/executions/", {}),
        ("/executions/", {"scope_type": "project", "scope_id": "alpha", "status": "completed"}),
        ("/documents/", {"scope_type": "project", "scope_id": "alpha"}),
        ("/inbox/", {"scope_type": "project", "scope_id": "alpha"}),
        ("/telemetry/executions", {"scope_type": "project", "scope_id": "alpha"}),
    ],
)
def test_another_list_and_other_filters_refuse_it(ada: Caller, cursor: str, path: str, query: dict[str, str]) -> None:
    assert refusal(ada, path, {**query, "cursor": cursor}) == "This is not a cursor of this list with these filters."


def test_a_list_by_another_time_refuses_it(ada: Caller, cursor: str) -> None:
    following = ada.get("/documents/", {"limit": 1}).json()["next_cursor"]
    assert ada.get("/documents/", {"limit": 1, "cursor": following}).status_code == 200
    assert refusal(ada, "/documents/", {"created_after": LATE, "cursor": following})
