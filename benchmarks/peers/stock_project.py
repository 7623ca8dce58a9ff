"""A minimal project with unmodified django-eventstream. Runs on daphne; with STORED it stores events."""

from __future__ import annotations

import json
import os
import threading

import django
import psycopg
from django.conf import settings

from benchmarks.workload import database_url
from orchestrator.embedded_postgres import instance

TABLE = {"EVENTSTREAM_STORAGE_CLASS": "django_eventstream.storage.DjangoModelStorage"}

settings.configure(
    SECRET_KEY="bench",  # noqa: S106 - a benchmark
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_eventstream"],
    DATABASES={"default": instance.django_database(database_url())},
    USE_TZ=True,
    **(TABLE if "STORED" in os.environ else {}),
)
django.setup()

import django_eventstream.urls  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_eventstream import send_event  # noqa: E402

urlpatterns = [path("stream/<channel>/", include(django_eventstream.urls), {"format-channels": ["{channel}"]})]


def bridge() -> None:
    """Forward notifications."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("LISTEN bench_events")
        for notification in connection.notifies():
            event = json.loads(notification.payload)
            send_event(event["execution_id"], event["event_type"], event)


threading.Thread(target=bridge, daemon=True).start()
application = get_asgi_application()
