"""Shared assertions of API tests."""

from __future__ import annotations

from typing import Any

from procrastinate.contrib.django.models import ProcrastinateJob

from access.models import Scope, ScopeRole
from access.permissions import Role
from access.user import User
from executions.engine.domain.execution import Execution as DomainExecution
from executions.models import Execution, ExecutionEvent, ExecutionStep
from tests.factories.callers import Caller


def counts() -> tuple[int, ...]:
    """Return how many rows there are of everything that a request might leave behind."""
    return tuple(
        model.objects.count()
        for model in (Execution, ExecutionStep, ExecutionEvent, Scope, ScopeRole, ProcrastinateJob)
    )


def state(execution: DomainExecution) -> tuple[object, ...]:
    """Return everything about an execution that a refused request must leave alone."""
    row = Execution.objects.get(id=execution.id)
    steps = list(row.steps.order_by("position").values_list("status", "version", "rounds"))
    return (row.status, row.version, row.last_sequence, steps, counts())


def pointers(response: Any) -> set[str]:
    """Return where a problem says that something is wrong."""
    assert response.headers["Content-Type"] == "application/problem+json"
    return {error["pointer"] for error in response.json()["errors"]}


def grant(user: User, key: str, role: Role) -> None:
    """Give a user a role in a project."""
    ScopeRole.objects.create(scope=Scope.objects.get(type="project", key=key), user=user, role=role)


def ids(caller: Caller, **query: object) -> list[str]:
    """Return the executions that a list shows."""
    response = caller.get("/executions/", query)
    assert response.status_code == 200, response.content
    return [row["execution_id"] for row in response.json()["data"]]
