"""The ledger in the admin, to look at."""

from __future__ import annotations

from django.contrib import admin

from access.read_only_admin import ReadOnlyAdmin, pretty
from telemetry.models import ModelCall


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """Every paid call."""

    list_display = ("step_id", "attempt", "kind", "status", "requested_model", "total", "cost_usd", "started_at")
    list_filter = ("status", "kind", "requested_model", "workflow_id")
    search_fields = ("execution_id", "step_id", "provider_request_id")
    ordering = ("-started_at", "-id")
    exclude = ("reply",)
    readonly_fields = ("whole_reply",)

    @admin.display(description="tokens")
    def total(self, row: ModelCall) -> int:
        """Return all tokens of the call."""
        return row.input_tokens + row.cache_read_input_tokens + row.cache_write_input_tokens + row.output_tokens

    @admin.display(description="reply")
    def whole_reply(self, row: ModelCall) -> str:
        """Return the reply for reading."""
        return pretty(row.reply)
