"""Two executions side by side over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from uuid_utils.compat import uuid7

from access.permissions import Role
from documents.models import DocumentVersion
from executions.engine.domain.execution import Execution
from executions.models import ExecutionStep
from executions.selectors import comparison
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db

NONE = {"added": 0, "removed": 0, "changed": 0, "moved": 0}


@pytest.fixture
def pair(ada: Caller, report: int) -> tuple[Execution, Execution]:
    """Two executions of Ada's that have ended, in two projects."""
    first = reports.finish(reports.start(ada.user), cost="0.01")
    return first, reports.finish(reports.start(ada.user, "beta"), cost="0.02")


def compare(caller: Caller, a: Execution, b: Execution) -> dict[str, Any]:
    response = caller.get("/executions/compare", {"a": a.id, "b": b.id})
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def change(execution: Execution, **content: Any) -> None:
    """Give the research of an execution another content."""
    rows = DocumentVersion.objects.filter(execution_id=execution.id, step_id="research")
    rows.update(content={"title": "The findings", **content}, content_hash="0" * 64)


def test_equal_documents_stand_side_by_side(ada: Caller, pair: tuple[Execution, Execution]) -> None:
    found = compare(ada, *pair)
    assert [found[side]["execution_id"] for side in "ab"] == [str(each.id) for each in pair]
    assert [found[side]["total"]["cost_usd"] for side in "ab"] == ["0.0200000000", "0.0400000000"]
    assert found["a"]["models"] == ["scripted:writer"]
    assert found["a"]["duration_seconds"] > 0
    assert [(each["type"], each["equal"], each["counts"]) for each in found["steps"]] == [
        ("findings", True, NONE),
        ("summary", True, NONE),
    ]
    research = found["steps"][0]
    assert [research[side]["cost_usd"] for side in "ab"] == ["0.0100000000", "0.0200000000"]
    assert research["a"]["document"] == {
        "id": str(pair[0].steps["research"].document_id),
        "version": 1,
        "title": "The findings",
    }
    assert (research["b"]["models"], research["b"]["calls"], research["b"]["status"]) == (
        ["scripted:writer"],
        1,
        "completed",
    )
    assert research["b"]["duration_seconds"] >= 0


def test_changes_are_counted_from_a_to_b(ada: Caller, pair: tuple[Execution, Execution]) -> None:
    change(pair[1], points=["one"])
    research, summary = compare(ada, *pair)["steps"]
    assert (research["equal"], research["counts"], summary["equal"]) == (False, {**NONE, "added": 1}, True)
    assert compare(ada, *reversed(pair))["steps"][0]["counts"] == {**NONE, "removed": 1}


def test_two_runs_in_one_scope_compare_their_versions(ada: Caller, report: int) -> None:
    first, second = (reports.finish(reports.start(ada.user)) for _ in range(2))
    research = compare(ada, first, second)["steps"][0]
    assert research["a"]["document"]["id"] == research["b"]["document"]["id"]
    assert [research[side]["document"]["version"] for side in "ab"] == [1, 2]


def test_a_step_without_a_document_is_not_compared(ada: Caller, pair: tuple[Execution, Execution]) -> None:
    begun = reports.finish_step(reports.claim(reports.start(ada.user, "gamma")), "research")
    found = compare(ada, pair[0], begun)
    research, summary = found["steps"]
    assert research["equal"] is True
    assert (summary["equal"], summary["counts"], summary["b"]["document"]) == (None, None, None)
    assert (summary["b"]["cost_usd"], summary["b"]["duration_seconds"], summary["b"]["models"]) == (
        "0.0000000000",
        None,
        [],
    )
    assert found["b"]["duration_seconds"] is None


def test_other_steps_are_paired_by_what_they_make(ada: Caller, pair: tuple[Execution, Execution]) -> None:
    steps = ExecutionStep.objects.filter(execution_id=pair[1].id)
    steps.filter(step_id="research").update(step_id="inquiry")
    steps.filter(step_id="summary").update(step_id="ending", produces="ending")
    found = [
        [each["type"], *(each[side] and each[side]["step_id"] for side in "ab")]
        for each in compare(ada, *pair)["steps"]
    ]
    assert found == [["findings", "research", "inquiry"], ["summary", "summary", None], ["ending", None, "ending"]]


@pytest.mark.parametrize(("name", "limit"), [("MAX_COUNTED", 0), ("MAX_COUNTED_BYTES", 0)])
def test_too_much_is_not_counted(
    ada: Caller, pair: tuple[Execution, Execution], monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    change(pair[1], points=["one"])
    monkeypatch.setattr(comparison, name, limit)
    research, summary = compare(ada, *pair)["steps"]
    assert (research["equal"], research["counts"], summary["counts"]) == (False, None, NONE)


def test_both_have_to_be_visible(ada: Caller, eve: Caller, pair: tuple[Execution, Execution]) -> None:
    query = {"a": pair[0].id, "b": pair[1].id}
    assert eve.get("/executions/compare", query).status_code == 404
    grant(eve.user, "alpha", Role.VIEWER)
    assert eve.get("/executions/compare", query).status_code == 404
    grant(eve.user, "beta", Role.VIEWER)
    assert eve.get("/executions/compare", query).status_code == 200
    assert ada.get("/executions/compare", {**query, "b": uuid7()}).status_code == 404


def test_the_query_is_checked(ada: Caller, pair: tuple[Execution, Execution]) -> None:
    refused = ada.get("/executions/compare", {"a": "x", "c": 1})
    assert (refused.status_code, pointers(refused)) == (422, {"/a", "/b", "/c"})
