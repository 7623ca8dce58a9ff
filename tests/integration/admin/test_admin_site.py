"""Lists and searches of the admin with queries that no row can match."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db(transaction=True)  # a value that PostgreSQL refuses ends a transaction

LISTS = sorted(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry)
QUERIES = [
    "status__exact=%00",
    "%00=1",
    "q=%00",
    "id__exact=%00",
    "pk__exact=99999999999999999999999",
    "created_at__year=99999999999",
    "started_at__year=99999999999",
    "date_joined__year=99999999999",
    "date_joined__month=99999999999999999999",
    "effective_from__year=0",
    "scheduled_at__year=-5",
    "id__in=" + "9" * 5_000,
    "p=" + "9" * 5_000,
    "o=" + "9" * 30,
    "provider__regex=(",
    "type__regex=[",
    "version__gte=1e999",
]


@pytest.fixture
def browser(admin_client: Client) -> Client:
    """A browser of staff that is shown errors as pages."""
    admin_client.raise_request_exception = False
    return admin_client


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_the_admin_answers_any_query(browser: Client, name: str) -> None:
    for query in QUERIES:
        response = browser.get(f"{reverse(name)}?{query}")
        assert response.status_code in {200, 302, 400}, query
        if response.status_code == 302:
            assert response.headers["Location"].endswith("e=1")


def test_a_filter_that_cannot_be_leads_back_to_the_list(browser: Client) -> None:
    path = reverse("admin:executions_execution_changelist")
    response = browser.get(f"{path}?created_at__year=99999999999", follow=True)
    assert (response.status_code, len(response.redirect_chain)) == (200, 1)


@pytest.mark.parametrize("term", ["%00", "a%00b", "'", "x" * 5_000])
def test_a_search_of_the_admin_answers_anything(browser: Client, term: str) -> None:
    about = "app_label=access&model_name=scoperole&field_name=user"
    assert browser.get(f"/admin/autocomplete/?{about}&term={term}").status_code in {200, 400}


def test_all_models_have_checked_lists() -> None:
    assert len(LISTS) >= 15
    assert type(admin.site._registry[next(iter(admin.site._registry))]).__mro__[1].__name__ == "CheckedListsMixin"
