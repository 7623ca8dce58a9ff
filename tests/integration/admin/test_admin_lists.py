"""Each list and each page of the admin needs as many queries for many rows as for few."""

from __future__ import annotations

from itertools import count
from typing import Any

import psycopg
import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import ExternalAccount, Scope
from access.services import issue_token
from access.user import User
from executions.models import ExecutionEvent, ExecutionStep, WorkerHeartbeat
from telemetry.models import ModelLimit, Price, ScopeBudget
from tests.factories import reports
from workflows import repository as workflows

pytestmark = pytest.mark.django_db

MOST = 15  # queries of a list or a page, those of the session and of filters included
numbers = count()


def populate(rows: int) -> None:
    """Add rows to every list, each with relations of its own."""
    now = timezone.now()
    for number in (next(numbers) for _ in range(rows)):
        user = User.objects.create_user(f"user-{number}")
        issue_token(user)
        Group.objects.create(name=f"group-{number}")
        definition = reports.definition(f"Another version: {number}.")
        workflows.publish(definition, now=now)
        workflows.publish(definition.model_copy(update={"id": f"report-{number}"}), now=now)
        reports.finish_step(reports.claim(reports.start(user, key=f"key-{number}")), "research")
        root = Scope.objects.get(key=f"key-{number}")
        Scope.objects.create(type="epic", key="e", parent=root, root=root)
        ScopeBudget.objects.create(scope=root, max_cost_usd=1)
        ExternalAccount.objects.create(issuer="https://id.example.org", subject=f"s-{number}", user=user)
        Price.objects.create(provider="p", model=f"m{number}", effective_from=now, input_usd=1, output_usd=1, tiers=[])
        ModelLimit.objects.create(provider="p", model=f"m{number}", requests_per_minute=1)
        WorkerHeartbeat.objects.create(name=f"runner-{number}", started_at=now, heartbeat_at=now)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every statement that is sent to PostgreSQL, also past Django's own cursors."""
    statements: list[object] = []
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(query)
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    return statements


def queries(browser: Client, sent: list[object], *, rows: int) -> dict[str, int]:
    """Return how many queries the list of each model takes; each shows that many rows at least."""
    found: dict[str, int] = {}
    for model in admin.site._registry:
        meta = model._meta
        sent.clear()
        response = browser.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"))
        found[meta.label] = len(sent)
        assert response.status_code == 200
        assert len(response.context["cl"].result_list) >= rows, meta.label
    return found


def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(admin_client: Client, sent: list[object]) -> None:
    populate(5)
    queries(admin_client, sent, rows=5)  # what a process keeps from then on, such as content types
    few = queries(admin_client, sent, rows=5)
    populate(95)
    assert queries(admin_client, sent, rows=100) == few
    assert {label: number for label, number in few.items() if number > MOST} == {}


def test_each_page_takes_few_queries(admin_client: Client, sent: list[object]) -> None:
    populate(3)
    found: dict[str, int] = {}
    for _ in range(2):  # the first time a process reads what it keeps from then on
        for model in admin.site._registry:
            meta = model._meta
            for row in model._default_manager.all()[:3]:
                sent.clear()
                response = admin_client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]))
                assert response.status_code == 200, meta.label
                found[meta.label] = len(sent)
    assert found.keys() == {model._meta.label for model in admin.site._registry}
    assert {label: number for label, number in found.items() if number > MOST} == {}


def test_a_page_of_an_execution_of_3000_steps_is_as_small_as_any(admin_client: Client, sent: list[object]) -> None:
    reports.publish()
    user = User.objects.create_user("ada")
    small, large = (reports.finish(reports.start(user, key=key)) for key in ("small", "large"))
    scope, now = Scope.objects.get(key="large"), timezone.now()
    steps = ExecutionStep.objects.bulk_create(
        ExecutionStep(
            **{"execution_id": large.id, "step_id": f"story@s-{number}", "name": "Story", "role": "Writer"},
            **{"position": 5, "item_order": number, "level": 2, "produces": "story", "status": "completed"},
        )
        for number in range(3_000)
    )
    ExecutionEvent.objects.bulk_create(
        ExecutionEvent(
            **{"execution_id": large.id, "sequence": 1_000 + number, "scope_id": scope.id, "step_id": step.step_id},
            **{"scope_sequence": 1_000 + number, "event_type": "step_completed", "timestamp": now},
        )
        for number, step in enumerate(steps)
    )
    numbers, sizes = [], []
    for execution in (small, small, large):
        sent.clear()
        response = admin_client.get(reverse("admin:executions_execution_change", args=[execution.id]))
        assert response.status_code == 200
        numbers.append(len(sent))
        sizes.append(len(response.content))
    assert numbers[2] <= numbers[1] + 2
    assert numbers[2] <= MOST
    assert sizes[2] < sizes[1] + 400_000
    page = response.content.decode()
    assert f"/admin/executions/executionstep/?execution__id__exact={large.id}" in page
    listed = admin_client.get(f"/admin/executions/executionstep/?execution__id__exact={large.id}&p=2")
    assert len(listed.context["cl"].result_list) == 100
