"""Admin pages: the ledger, read-only; prices, model limits and scope budgets, editable."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from common.admin import LongList, ReadOnlyAdmin, SearchById, execution_link, in_line, money, once, row_link, with_json
from common.database.server import database_now
from telemetry.models import ModelCall, ModelLimit, Price, ScopeBudget
from telemetry.spending import with_spent

_COLOURS = {"committed": "success", "failed": "danger", "unknown": "warning", "pending": "info"}
_TOKENS = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens", "reasoning_tokens")


@admin.register(ModelCall)
class ModelCallAdmin(SearchById, LongList, ReadOnlyAdmin):
    """Calls to models, as the ledger has them."""

    list_display = (
        *("step", "of_execution", "of_scope", "state", "requested_model", "total", "cost"),
        "started_at",
    )
    list_filter = ("status", "dry_run")  # others would read the whole ledger for their values
    search_fields = ("execution_id", "step_id")
    search_help_text = "The whole id of an execution; after it, if you like, the id of a step."
    ordering = ("-started_at", "-id")
    fieldsets = (
        (None, {"fields": ("step_id", "attempt", "kind", "ordinal", "status", "of_execution", "of_scope", "user")}),
        ("Model", {"fields": ("requested_model", "provider", "model", "provider_request_id", "is_dry_run")}),
        ("Costs", {"fields": ("cost", "at_most", "total", *_TOKENS, "billing")}),
        ("When", {"fields": ("started_at", "finished_at", "latency_ms", "erased_at")}),
        ("Result", {"fields": ("error", "whole_reply")}),
    )
    readonly_fields = ("of_execution", "of_scope", "is_dry_run", "cost", "at_most", "total", "whole_reply")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[ModelCall]:
        """Return all calls with their scopes; a list does not read replies."""
        rows: models.QuerySet[ModelCall] = super().get_queryset(request)
        return rows.select_related("scope", "user").defer("reply")

    @admin.display(description="step, attempt, kind", ordering="step_id")
    def step(self, row: ModelCall) -> SafeString:
        """Return the step, the attempt, and what the call was for."""
        return format_html("{} {}", row.step_id, in_line(f"{row.attempt} {row.kind}"))

    @admin.display(description="execution", ordering="execution_id")
    def of_execution(self, row: ModelCall) -> SafeString | str:
        """Return a link to the execution."""
        return execution_link(row.execution_id)

    @admin.display(description="scope", ordering="scope")
    def of_scope(self, row: ModelCall) -> SafeString:
        """Return a link to the scope."""
        return row_link(row.scope)

    @display(description="status", ordering="status", label=_COLOURS)
    def state(self, row: ModelCall) -> str:
        """Return the status as a badge; of dry runs with these words."""
        return f"{row.status}, dry run" if row.dry_run else row.status

    @display(description="dry run", label={"dry run": "warning"})
    def is_dry_run(self, row: ModelCall) -> str:
        """Return a badge for dry runs."""
        return "dry run" if row.dry_run else ""

    @admin.display(description="tokens")
    def total(self, row: ModelCall) -> str:
        """Return the number of all tokens of the call."""
        parts = (row.input_tokens, row.cache_read_input_tokens, row.cache_write_input_tokens, row.output_tokens)
        return f"{sum(parts):,}"

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, row: ModelCall) -> SafeString | str:
        """Return the cost in US dollars."""
        return money(row.cost_usd)

    @admin.display(description="at most")
    def at_most(self, row: ModelCall) -> SafeString | str:
        """Return the greatest cost while the cost is not known."""
        return "-" if row.estimated_cost_usd is None else money(row.estimated_cost_usd)

    @admin.display(description="reply")
    @once
    def whole_reply(self, row: ModelCall) -> str:
        """Return the reply for reading, and as JSON."""
        return with_json(row.reply)


class VersionedForm(forms.ModelForm):
    """A form with optimistic locking: it rejects a row whose version has changed since the page was loaded."""

    noun = "row"
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def clean(self) -> dict[str, Any] | None:
        """Lock the row, and reject it if another user has changed it since the page was loaded."""
        if not self.instance._state.adding:  # noqa: SLF001 - documented by Django
            rows: models.Manager[Any] = type(self.instance)._default_manager  # noqa: SLF001 - a documented API
            stored = rows.select_for_update().filter(pk=self.instance.pk).first()
            if stored is None or stored.version != self.cleaned_data.get("version"):
                raise ValidationError(f"Another user has changed this {self.noun}; reload the page.")
            self.cleaned_data["version"] = stored.version + 1
        else:
            self.cleaned_data["version"] = 1
        return super().clean()


class VersionedAdmin(ModelAdmin):
    """An admin page with optimistic locking."""

    def changeform_view(self, *arguments: Any, **options: Any) -> Any:
        """Check the version and write in one transaction."""
        with transaction.atomic():
            return super().changeform_view(*arguments, **options)


class TiersField(forms.JSONField):
    """A JSON field that also reports input which Python's parser cannot handle."""

    def to_python(self, value: Any) -> Any:
        """Parse the JSON.

        Raises:
            ValidationError: the text is not JSON, is nested too deep, or has a number with too many digits.
        """
        try:
            return super().to_python(value)
        except (RecursionError, ValueError) as error:
            raise ValidationError("Enter JSON with less nesting, and with numbers of at most 4,300 digits.") from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return the value for redisplay: the text itself if it cannot be parsed."""
        try:
            return super().bound_data(data, initial)
        except (RecursionError, ValueError):
            return forms.fields.InvalidJSONInput(data)


class PriceForm(VersionedForm):
    """Form of a price."""

    noun = "price"
    tiers = TiersField(required=False, help_text=Price._meta.get_field("tiers").help_text)  # noqa: SLF001 - public

    class Meta:
        model = Price
        fields = (
            "provider",
            "model",
            "effective_from",
            "input_usd",
            "cache_read_usd",
            "cache_write_usd",
            "output_usd",
            "tiers",
            "version",
        )


@admin.register(Price)
class PriceAdmin(VersionedAdmin):
    """Configured prices of models, in US dollars per million tokens."""

    form = PriceForm
    list_display = (
        "provider",
        "model",
        "effective_from",
        "input_usd",
        "cache_read_usd",
        "cache_write_usd",
        "output_usd",
        "thresholds",
    )
    list_display_links = ("provider", "model")
    list_filter = ("provider",)
    search_fields = ("provider", "model")
    ordering = ("provider", "model", "-effective_from", "id")

    @admin.display(description="tiers above (tokens)")
    def thresholds(self, row: Price) -> str:
        """Return the thresholds of the tiers."""
        return ", ".join(f"{tier['above_input_tokens']:,}" for tier in row.tiers)

    def save_model(self, request: HttpRequest, *arguments: Any) -> None:
        """Store the price, and explain that earlier calls keep their cost."""
        super().save_model(request, *arguments)
        row: Price = arguments[0]
        command = f"manage.py reprice --from {row.effective_from:%Y-%m-%d} --dry-run"
        text = f"Earlier calls keep their cost; {command} shows what they would cost at this price."
        self.message_user(request, text, messages.INFO)


class ModelLimitForm(VersionedForm):
    """Form of a model limit."""

    noun = "limit"

    class Meta:
        model = ModelLimit
        fields = ("provider", "model", "requests_per_minute", "tokens_per_minute", "calls_at_once", "version")


@admin.register(ModelLimit)
class ModelLimitAdmin(VersionedAdmin):
    """Rate limits of models, shared by all workers."""

    form = ModelLimitForm
    list_display = ("provider", "model", "requests_per_minute", "tokens_per_minute", "calls_at_once")
    list_display_links = ("provider", "model")
    ordering = ("provider", "model")


class ScopeBudgetForm(VersionedForm):
    """Form of a scope budget."""

    noun = "budget"

    class Meta:
        model = ScopeBudget
        fields = ("scope", "max_cost_usd", "version")


@admin.register(ScopeBudget)
class ScopeBudgetAdmin(VersionedAdmin):
    """Monthly budgets of root scopes. Blocked executions resume automatically when a budget is raised."""

    form = ScopeBudgetForm
    list_display = ("scope", "most", "this_month")
    autocomplete_fields = ("scope",)
    ordering = ("scope",)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[ScopeBudget]:
        """Return all budgets with this month's spending."""
        rows: models.QuerySet[ScopeBudget] = super().get_queryset(request)
        return with_spent(rows.select_related("scope"), now=database_now())

    @admin.display(description="spent or reserved this month")
    def this_month(self, row: ScopeBudget) -> SafeString | str:
        """Return this month's US dollars; 0 while a budget is being added."""
        return money(getattr(row, "spent_usd", Decimal(0)))

    @admin.display(description="budget of a month", ordering="max_cost_usd")
    def most(self, row: ScopeBudget) -> SafeString | str:
        """Return the budget in US dollars."""
        return money(row.max_cost_usd)

    def get_readonly_fields(self, request: HttpRequest, obj: ScopeBudget | None = None) -> tuple[str, ...]:
        """Return the read-only fields: the scope of an existing budget cannot be changed."""
        return ("this_month",) if obj is None else ("scope", "this_month")
