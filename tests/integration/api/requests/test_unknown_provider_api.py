"""A model of an unknown provider is rejected before any call is paid for."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

pytestmark = pytest.mark.django_db

STEP = {"role": "writer", "task": "Write.", "output_schema": reports.SCHEMA}
DEFINITION: dict[str, Any] = {
    "id": "misspelt",
    "name": "Misspelt",
    "description": "Names models of unknown providers.",
    "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
    "steps": [
        {"id": "known", "name": "Known", "produces": "first", **STEP},
        {"id": "typo", "name": "Typo", "produces": "second", "model": "opnai:gpt-6.1-terra", **STEP},
        {
            "id": "others",
            "name": "Others",
            "produces": "third",
            "fallbacks": ["gateway/anthropic:claude-sonnet-5-5", "antropic:claude-sonnet-5-5"],
            "review": {"model": "gogle:gemini-3.8-flash", "rubric": "Is it good?"},
            **STEP,
        },
    ],
}
BODY = {"workflow_id": "misspelt", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}


@pytest.fixture(autouse=True)
def workflow(db: None) -> None:
    """A workflow whose model, fallback and reviewer are misspelt."""
    workflows.publish(parse_definition(DEFINITION), now=timezone.now())


def test_it_does_not_start_and_says_which_steps_are_wrong(ada: Caller) -> None:
    before = counts()
    response = ada.post("/executions/", BODY)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    found = [(each["pointer"], each["code"], each["detail"].split()[4]) for each in response.json()["errors"]]
    assert found == [
        ("/steps/1", "unknown_provider", "opnai:gpt-6.1-terra,"),
        ("/steps/2", "unknown_provider", "antropic:claude-sonnet-5-5,"),
        ("/steps/2", "unknown_provider", "gogle:gemini-3.8-flash,"),
    ]
    assert counts() == before


def test_a_dry_run_asks_no_provider(ada: Caller) -> None:
    assert ada.post("/executions/", {**BODY, "dry_run": True}).status_code == 201
