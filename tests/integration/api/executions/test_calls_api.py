"""Calls to models over the API: the list, and one call. What replies were is told in `tests/integration`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from access.permissions import Role
from executions.models import Execution
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def path(ada: Caller, report: int) -> str:
    """The path of the calls of an execution, one of whose steps was sent back once."""
    return f"/executions/{reports.repair(reports.start(ada.user)).id}/calls"


def test_calls_are_listed_page_by_page_and_filtered(ada: Caller, path: str) -> None:
    first = ada.get(path, {"limit": 1}).json()
    [one] = first["data"]
    [two] = ada.get(path, {"limit": 1, "cursor": first["next_cursor"]}).json()["data"]
    assert [(each["step_id"], each["attempt"], each["kind"], each["status"]) for each in (one, two)] == [
        ("research", 1, "generate", "committed"),
        ("research", 2, "remediate", "pending"),
    ]
    assert (one["cost_usd"], one["total_tokens"], one["prompt_exact"]) == ("0.0012000000", 160, False)
    for query in ({"step_id": "summary"}, {"attempt": 9}, {"kind": "review"}, {"status": "failed"}):
        assert ada.get(path, query).json()["data"] == []
    assert [each["id"] for each in ada.get(path, {"status": "pending", "kind": "remediate"}).json()["data"]] == [
        two["id"]
    ]
    refused = ada.get(path, {"attempt": 0, "kind": "guess", "status": "x", "model": "m"})
    assert pointers(refused) == {"/attempt", "/kind", "/status", "/model"}


def test_a_call_is_shown_with_prompt_and_reply(ada: Caller, path: str, restrict: Callable[..., None]) -> None:
    one, two = ada.get(path).json()["data"]
    shown: dict[str, Any] = ada.get(f"{path}/{two['id']}").json()
    assert {name: shown[name] for name in two} == two
    assert (shown["reply"], shown["reply_kind"], shown["violations"]) == (None, None, [])
    assert "Your last output was not valid" in shown["prompt"]["prompt"]
    assert (shown["prompt"]["cut"], shown["prompt"]["exact"]) == (False, False)
    restrict(call_characters=10)
    cut = ada.get(f"{path}/{two['id']}").json()["prompt"]
    assert (cut["cut"], cut["prompt"]) == (True, shown["prompt"]["prompt"][:10] + "…")
    answered = ada.get(f"{path}/{one['id']}")
    assert answered.json()["reply"]["finish_reason"] == "stop"
    known = ada.get(f"{path}/{one['id']}", If_None_Match=answered.headers["ETag"])
    assert (known.status_code, known.content) == (304, b"")


def test_a_reply_with_many_calls_of_tools_is_cut(ada: Caller, path: str, restrict: Callable[..., None]) -> None:
    [row] = ModelCall.objects.filter(reply__isnull=False)
    calls = [{"name": "n" * 100, "arguments": {"a": number}} for number in range(500)]
    ModelCall.objects.filter(id=row.id).update(reply={**row.reply, "tool_calls": calls})
    whole = ada.get(f"{path}/{row.id}").json()["reply"]
    assert (whole["cut"], len(whole["tool_calls"])) == (False, 500)
    restrict(call_characters=5_000)
    cut = ada.get(f"{path}/{row.id}")
    assert (cut.json()["reply"]["cut"], len(cut.content) < 20_000) == (True, True)
    assert 0 < len(cut.json()["reply"]["tool_calls"]) < 30


def test_only_who_may_see_the_execution_sees_its_calls(ada: Caller, eve: Caller, path: str) -> None:
    call = f"{path}/{ada.get(path).json()['data'][0]['id']}"
    for hidden in (path, call):
        assert eve.get(hidden).status_code == 404
    grant(eve.user, Execution.objects.get().scope.key, Role.VIEWER)
    for seen in (path, call):
        assert eve.get(seen).status_code == 200
    other = reports.start(eve.user, "beta").id
    for missing in (
        f"{path}/{uuid4()}",
        f"/executions/{uuid4()}/calls",
        call.replace(path, f"/executions/{other}/calls"),
    ):
        assert ada.get(missing).status_code == 404
        assert eve.get(missing).status_code == 404
