"""The prompt of a call, for users who may see the execution."""

from __future__ import annotations

from typing import Any

import pytest

from access.permissions import Role
from executions.models import Execution
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def path(ada: Caller, report: int) -> str:
    """The path of a prompt, of a step that was sent back once."""
    execution = reports.repair(reports.start(ada.user))
    return f"/executions/{execution.id}/steps/research/prompt"


def test_the_newest_prompt_is_shown_or_the_one_that_is_asked_for(ada: Caller, path: str) -> None:
    newest: dict[str, Any] = ada.get(path).json()
    assert (newest["step_id"], newest["attempt"], newest["kind"], newest["ordinal"]) == ("research", 2, "remediate", 1)
    assert "Your last output was not valid" in newest["prompt"]
    first = ada.get(path, {"attempt": 1, "kind": "generate", "ordinal": 1}).json()
    assert (first["attempt"], "Your last output" in first["prompt"]) == (1, False)
    assert first["exact"] is False  # the scenario's calls have hashes that nothing was made from


def test_what_was_never_asked_is_not_found(ada: Caller, path: str) -> None:
    assert ada.get(path, {"attempt": 9}).status_code == 404
    assert ada.get(path, {"kind": "review"}).status_code == 404
    assert ada.get(path.replace("research", "nothing")).status_code == 404


def test_what_names_no_call_is_said_so(ada: Caller, path: str) -> None:
    response = ada.get(path, {"attempt": 0, "kind": "guess", "model": "x"})
    assert response.status_code == 422
    assert pointers(response) == {"/attempt", "/kind", "/model"}


def test_only_who_may_see_the_execution_sees_what_was_asked(ada: Caller, eve: Caller, path: str) -> None:
    assert eve.get(path).status_code == 404
    grant(eve.user, Execution.objects.get().scope.key, Role.VIEWER)
    assert eve.get(path).status_code == 200
