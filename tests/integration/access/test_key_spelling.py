"""An idempotency key acts once, however a client writes the id in the path."""

from __future__ import annotations

import pytest

from access.models import KeptAnswer
from tests.factories import reports
from tests.factories.callers import make_caller

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_key_acts_once_under_both_spellings_of_an_id() -> None:
    ada = make_caller("ada")
    reports.publish(gated=True)
    execution = reports.hand_in(reports.claim(reports.start(ada.user)))
    step = f"{execution.id}/steps/research/acceptance"
    body = {"decision": "accept", "document_version": 1}
    first = ada.post(f"/executions/{step}", body, Idempotency_Key="once")
    again = ada.post(
        f"/executions/{step.replace(str(execution.id), str(execution.id).upper())}", body, Idempotency_Key="once"
    )
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert [each.path for each in KeptAnswer.objects.all()] == [f"/api/v1/executions/{step}"]
