"""Workers and jobs in the admin, to look at: the engine alone starts, repeats and ends its jobs."""

from __future__ import annotations

import re
from datetime import timedelta

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from unfold.decorators import display

from common.admin import LongList, ReadOnlyAdmin, ReadOnlyInline, execution_link, once, with_json
from executions.models import WorkerHeartbeat

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

admin.site.unregister(ProcrastinateJob)  # the library's page has acts that bypass the engine


class JobEventInline(ReadOnlyInline):
    """What happened to a job."""

    model = ProcrastinateEvent
    fields = ("at", "type")
    ordering = ("-at", "-id")


@admin.register(ProcrastinateJob)
class JobAdmin(LongList, ReadOnlyAdmin):
    """Jobs that wait or run. A job is removed when it has ended."""

    list_display = ("id", "task", "status", "queue_name", "of_execution", "scheduled_at", "attempts")
    list_filter = ("status", "queue_name")
    search_fields = ("lock__exact", "queueing_lock__exact")
    ordering = ("-id",)
    fields = (
        "task",
        "given",
        "status",
        "queue_name",
        "of_execution",
        "lock",
        "queueing_lock",
        "priority",
        "scheduled_at",
        "attempts",
    )
    readonly_fields = ("task", "given", "of_execution")
    inlines = (JobEventInline,)

    def get_actions(self, request: HttpRequest) -> dict[str, object]:
        """Return no action."""
        return {}

    @admin.display(description="task", ordering="task_name")
    def task(self, row: ProcrastinateJob) -> str:
        """Return the name of the task without its module."""
        return str(row.task_name).rpartition(".")[2]

    @admin.display(description="execution", ordering="lock")
    def of_execution(self, row: ProcrastinateJob) -> SafeString | str:
        """Return a link to the execution whose id is the lock; other jobs have none."""
        is_id = _ID.fullmatch(row.lock or "") is not None
        return execution_link(row.lock) if is_id else row.lock or "-"

    @admin.display(description="given")
    @once
    def given(self, row: ProcrastinateJob) -> str:
        """Return what the task is given."""
        return with_json(row.args)


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Worker processes with their heartbeats."""

    list_display = ("name", "alive", "started_at", "heartbeat_at")
    ordering = ("-heartbeat_at", "name")

    @display(description="alive", label={"alive": "success", "silent": "danger"})
    def alive(self, row: WorkerHeartbeat) -> str:
        """Return whether the worker has shown a sign of life in time."""
        silent = timezone.now() - row.heartbeat_at > timedelta(seconds=settings.WORKER_SILENT_SECONDS)
        return "silent" if silent else "alive"
