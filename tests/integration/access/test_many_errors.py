"""Responses to requests with very many errors: small, fast, and with the total number of errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.user import User
from common.errors import FieldError
from executions.engine.domain.errors import InvalidAnswers
from orchestrator.problems import problem_handler

Api = Callable[..., APIClient]
ABOUT = {"workflow_id": "a", "scope_type": "b", "scope_id": "c", "input": "d"}
MANY = 150_000


def faults(api: Api, user: User, body: object, path: str = "/api/v1/executions/") -> dict[str, Any]:
    """Return the problem for a body with errors; it lists 20 errors and is small."""
    response = api(user).post(path, json.dumps(body, separators=(",", ":")).encode(), content_type="application/json")
    assert response.status_code == 422, response.content[:500]
    assert len(response.content) < 50_000
    found: dict[str, Any] = response.json()
    assert len(found["errors"]) == min(20, found["error_count"])
    return found


def test_of_very_many_unknown_fields_the_first_are_listed_and_all_are_counted(api: Api, alice: User) -> None:
    before = time.process_time()
    found = faults(api, alice, ABOUT | {str(number): 0 for number in range(MANY)})
    assert found["error_count"] == MANY
    assert [error["pointer"] for error in found["errors"]] == [f"/{number}" for number in range(20)]
    assert time.process_time() - before < 2.0


@pytest.mark.parametrize("count", [1, 20, 21, 1_000])
def test_faults_are_counted_where_they_are_nested(api: Api, alice: User, count: int) -> None:
    budget = {f"f{number}": 0 for number in range(count)}
    found = faults(api, alice, {**ABOUT, "budget": budget, "zzz": 1})
    assert found["error_count"] == count + 1
    assert found["errors"][-1 if count < 20 else 0]["pointer"] in {"/zzz", "/budget/f0"}


@pytest.mark.parametrize(
    ("path", "required"), [("auth/token", 2), ("workflows/report/estimate", 0), ("executions/", 3)]
)
def test_every_form_counts(api: Api, alice: User, path: str, required: int) -> None:
    found = faults(api, alice, {f"f{number}": 0 for number in range(500)}, f"/api/v1/{path}")
    assert found["error_count"] == 500 + required


def test_a_list_that_is_too_long_is_one_fault(api: Api, alice: User) -> None:
    found = faults(api, alice, {**ABOUT, "tags": ["x" * 64] * 20_000})
    assert [error["pointer"] for error in found["errors"]] == ["/tags"]


def test_a_script_with_many_faults_is_counted(api: Api, alice: User) -> None:
    steps = {f"s{number}": {"zzz": 1} for number in range(300)}
    found = faults(api, alice, {**ABOUT, "dry_run": True, "rehearsal": {"steps": steps}})
    assert found["error_count"] == 300


@pytest.mark.parametrize("name", ["x" * 1_000_000, "~" * 1_000_000, "\u0001" * 5_000])
def test_a_long_name_is_cut(api: Api, alice: User, name: str) -> None:
    found = faults(api, alice, {**ABOUT, name: 1})
    assert (len(found["errors"][0]["pointer"]), found["errors"][0]["pointer"][-1]) == (1_000, "…")


@pytest.mark.parametrize("word", ["x" * 500_000, "<" * 1_500])
def test_a_long_value_is_not_said_again(api: Api, alice: User, word: str) -> None:
    found = faults(api, alice, {**ABOUT, "dry_run": word, "workflow_version": word, "budget": {"max_calls": word}})
    assert all(len(error["detail"]) <= 1_000 for error in found["errors"])


def test_faults_that_the_engine_finds_are_counted_too() -> None:
    found = [FieldError(pointer=f"/answers/{number}", code="unknown", detail="x" * 2_000) for number in range(1_000)]
    response = problem_handler(InvalidAnswers("Answers that do not fit.", found), {})
    assert response is not None
    assert response.data["error_count"] == 1_000
    assert [error["pointer"] for error in response.data["errors"]] == [f"/answers/{number}" for number in range(20)]
    assert len(json.dumps(response.data)) < 50_000
