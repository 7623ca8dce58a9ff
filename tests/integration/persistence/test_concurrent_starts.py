"""Concurrent starts with the same `Idempotency-Key`."""

from __future__ import annotations

from typing import Any

from django.test import Client

from access.services import issue_token
from access.user import User
from executions import models
from tests.factories import reports
from tests.factories.executions import together

BODY = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
TOGETHER = 6


def test_many_at_once_with_one_key_start_one_execution(ann: User) -> None:
    reports.publish()
    headers = {"Authorization": f"Bearer {issue_token(ann)[1]}", "Idempotency-Key": "the-same"}

    def send() -> Any:
        return Client().post("/api/v1/executions/", BODY, "application/json", headers=headers)

    answers: list[Any] = together(*[send] * TOGETHER)
    told = [each for each in answers if each.status_code == 201]
    assert sum("Idempotency-Replayed" not in each.headers for each in told) == 1
    for busy in answers:
        if busy not in told:
            assert (busy.status_code, busy.json()["code"]) == (409, "idempotency-key-busy")
            assert busy.headers["Retry-After"] == "1"
    execution = models.Execution.objects.get()
    again = send()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert {each.json()["execution_id"] for each in [*told, again]} == {str(execution.id)}
