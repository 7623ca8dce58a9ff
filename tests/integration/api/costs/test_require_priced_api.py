"""With REQUIRE_PRICED no execution starts that may use a model without a known price."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from telemetry.models import Price
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

pytestmark = pytest.mark.django_db

STEP = {"role": "writer", "task": "Write.", "output_schema": reports.SCHEMA}
DEFINITION: dict[str, Any] = {
    "id": "priced",
    "name": "Priced",
    "description": "Asks many models.",
    "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
    "steps": [
        {"id": "known", "name": "Known", "produces": "first", "model": "openai:gpt-4o-mini", **STEP},
        {"id": "own", "name": "Own", "produces": "second", "model": "openai:secret-1", **STEP},
        {
            "id": "others",
            "name": "Others",
            "produces": "third",
            "model": "rehearsal:rehearsal",
            "fallbacks": ["openai:secret-2"],
            "review": {"model": "openai:secret-3", "rubric": "Is it good?"},
            **STEP,
        },
    ],
}
BODY = {"workflow_id": "priced", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}


@pytest.fixture(autouse=True)
def workflow(db: None) -> None:
    """A workflow whose model, fallback and reviewer have no known price."""
    workflows.publish(parse_definition(DEFINITION), now=timezone.now())


def test_models_without_a_known_price_are_refused_with_a_pointer_to_their_step(ada: Caller, settings: Any) -> None:
    settings.REQUIRE_PRICED = True
    before = counts()
    response = ada.post("/executions/", BODY)
    assert (response.status_code, response.json()["code"]) == (422, "unpriced-model")
    found = [(each["pointer"], each["code"], each["detail"].split()[4]) for each in response.json()["errors"]]
    assert found == [
        ("/steps/1", "unpriced_model", "openai:secret-1,"),
        ("/steps/2", "unpriced_model", "openai:secret-2,"),
        ("/steps/2", "unpriced_model", "openai:secret-3,"),
    ]
    assert counts() == before


def test_a_price_in_the_database_lets_it_start(ada: Caller, settings: Any) -> None:
    settings.REQUIRE_PRICED = True
    row = Price(provider="openai", model="secret-*", effective_from=timezone.now(), input_usd=0, output_usd=0)
    row.save()
    assert ada.post("/executions/", BODY).status_code == 201


def test_without_the_setting_it_starts(ada: Caller) -> None:
    assert ada.post("/executions/", BODY).status_code == 201
