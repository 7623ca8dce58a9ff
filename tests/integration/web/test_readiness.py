"""Readiness: whether accepted work would be done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from executions.models import WorkerHeartbeat

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("silent_seconds", "status", "worker"),
    [
        ([], 503, "no worker is running"),
        ([0], 200, "ok"),
        ([settings.WORKER_SILENT_SECONDS + 1], 503, "no worker is running"),
        ([settings.WORKER_SILENT_SECONDS + 1, 0], 200, "ok"),
    ],
)
def test_a_server_is_ready_while_one_worker_is_heard_of(silent_seconds: list[float], status: int, worker: str) -> None:
    now = timezone.now()
    WorkerHeartbeat.objects.bulk_create(
        WorkerHeartbeat(name=f"runner-{number}", started_at=now, heartbeat_at=now - timedelta(seconds=seconds))
        for number, seconds in enumerate(silent_seconds)
    )
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["checks"]["worker"]) == (status, worker)
    assert response.json()["checks"]["database"] == "ok"
