"""The liveness and readiness endpoints."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from executions.models import WorkerHeartbeat


def test_a_process_that_answers_is_alive() -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_it_is_ready_while_a_worker_is_heard_of() -> None:
    WorkerHeartbeat.objects.create(name="w", heartbeat_at=timezone.now(), started_at=timezone.now())
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok", "worker": "ok"}}


@pytest.mark.django_db
def test_it_is_not_ready_when_the_worker_is_silent(settings: Any) -> None:
    silent = timezone.now() - timedelta(seconds=settings.WORKER_SILENT_SECONDS + 1)
    WorkerHeartbeat.objects.create(name="w", heartbeat_at=silent, started_at=silent)
    response = Client().get("/readyz/")
    assert response.status_code == 503
    assert response.json()["checks"] == {"database": "ok", "migrations": "ok", "worker": "no worker is running"}


@pytest.mark.django_db
def test_it_is_not_ready_without_its_tables() -> None:
    call_command("migrate", "executions", "zero", verbosity=0, fake=True)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert "to apply" in response.json()["checks"]["migrations"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_https_is_not_asked_for_by_the_machine_itself(settings: Any, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get(path).status_code in {200, 503}
    assert Client().get("/api/v1/docs").status_code == 301
