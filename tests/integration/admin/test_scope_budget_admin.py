"""Budgets of scopes, as staff set them in the admin."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import Scope
from access.services import claim_root_scope
from access.user import User
from telemetry.models import ScopeBudget
from telemetry.spending import monthly_spending, with_spent
from tests.factories import reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def scope(admin_user: User) -> Scope:
    """A root scope."""
    return claim_root_scope(user=admin_user, scope_type="project", scope_key="alpha")


def test_staff_give_a_scope_a_budget_and_see_what_is_spent(admin_client: Client, scope: Scope) -> None:
    response = admin_client.post(
        reverse("admin:telemetry_scopebudget_add"), {"scope": str(scope.id), "max_cost_usd": "25", "version": ""}
    )
    assert response.status_code == 302, response.content
    budget = ScopeBudget.objects.get(scope=scope)
    assert (budget.max_cost_usd, budget.version) == (Decimal(25), 1)
    assert b"0.0000000000" in admin_client.get(reverse("admin:telemetry_scopebudget_changelist")).content


def test_of_two_editors_the_second_is_told_to_read_again(admin_client: Client, scope: Scope) -> None:
    ScopeBudget.objects.create(scope=scope, max_cost_usd=1)
    path = reverse("admin:telemetry_scopebudget_change", args=[scope.id])
    assert admin_client.post(path, {"max_cost_usd": "30", "version": "1"}).status_code == 302
    late = admin_client.post(path, {"max_cost_usd": "3", "version": "1"})
    assert b"Another user has changed this budget" in late.content
    budget = ScopeBudget.objects.get(scope=scope)
    assert (budget.max_cost_usd, budget.version) == (Decimal(30), 2)
    assert admin_client.post(path, {"max_cost_usd": "-1", "version": "2"}).status_code == 200


@pytest.mark.parametrize(("cost", "shown"), [("0.0012", "0.0024000000"), (None, "0.0000000000")])
def test_the_list_and_the_page_tell_what_this_month_has_cost(
    admin_client: Client, admin_user: User, cost: str | None, shown: str
) -> None:
    reports.publish()
    for key in ("alpha", "beta"):
        execution = reports.finish(reports.start(admin_user, key=key), cost=cost)
    ScopeBudget.objects.create(scope_id=execution.scope.id, max_cost_usd=1)
    [row] = with_spent(ScopeBudget.objects.all(), now=timezone.now())
    assert f"{monthly_spending(row.scope_id, now=timezone.now()).value:.10f}" == shown
    for page in ("changelist", "change"):
        path = reverse(f"admin:telemetry_scopebudget_{page}", args=[row.pk] if page == "change" else [])
        assert shown in admin_client.get(path).content.decode()
