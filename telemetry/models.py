"""What it cost. Rows only; `recorder` writes them, `selectors` reads them."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from common.database.json_field import JsonTextField
from telemetry.price_list import FREE_PROVIDERS, MOST_RATE, BadTiers, parse_tiers


class CallStatus(models.TextChoices):
    """What became of a call (see `executions.engine.domain.states.CallStatus`, the same words)."""

    PENDING = "pending"
    COMMITTED = "committed"
    DISCARDED = "discarded"
    FAILED = "failed"
    UNKNOWN = "unknown"


_PROVIDER = re.compile(r"[a-z0-9][a-z0-9/_-]*")


class ScopeBudget(models.Model):
    """What all executions of a root scope together may spend in a month of UTC. Its row is locked by whoever spends."""

    scope = models.OneToOneField(
        "access.Scope",
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="+",
        limit_choices_to={"parent": None},
    )
    max_cost_usd = models.DecimalField(
        max_digits=20, decimal_places=10, validators=[MinValueValidator(0)], help_text="US dollars a month."
    )
    version = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.scope}: {self.max_cost_usd:f} USD a month"


def _rate(**options: Any) -> models.DecimalField[Any, Any]:
    bounds = [MinValueValidator(0), MaxValueValidator(MOST_RATE)]
    return models.DecimalField(max_digits=15, decimal_places=8, validators=bounds, **options)


class Price(models.Model):
    """What a model costs from a moment on, by our own word: it goes before the price list that ships.

    What a million tokens cost is in US dollars.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    provider = models.CharField(
        max_length=100, help_text="What stands before the colon in a step's model: openai, anthropic, ollama …"
    )
    model = models.CharField(
        max_length=200,
        help_text="The model's name; * stands for any characters. A name without * goes before one with it, and of "
        "two with it the one whose beginning is longer.",
    )
    effective_from = models.DateTimeField(help_text="In UTC. It holds until the same name has a later one.")
    input_usd = _rate(verbose_name="input", help_text="US dollars per million tokens, as all of these.")
    cache_read_usd = _rate(
        verbose_name="read from a cache", null=True, blank=True, help_text="Empty: the same as input."
    )
    cache_write_usd = _rate(
        verbose_name="written to a cache", null=True, blank=True, help_text="Empty: the same as input."
    )
    output_usd = _rate(verbose_name="output", help_text="With tokens of reasoning.")
    tiers = models.JSONField(
        default=list,
        blank=True,
        help_text="What all of a call costs whose input is longer, as JSON: "
        '[{"above_input_tokens": 200000, "input": "2.5", "cache_read": "0.25", "output": "15"}]',
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "effective_from"],
                name="price_once",
                violation_error_message="There is a price of this model from this moment on.",
            ),
            models.CheckConstraint(
                name="price_within_bounds",  # those that are NULL pass
                condition=Q(input_usd__range=(0, MOST_RATE))
                & Q(cache_read_usd__range=(0, MOST_RATE))
                & Q(cache_write_usd__range=(0, MOST_RATE))
                & Q(output_usd__range=(0, MOST_RATE)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} from {self.effective_from:%Y-%m-%d %H:%M}"

    def clean(self) -> None:
        """Bring names and tiers into their one form.

        Raises:
            ValidationError: a name that no call has, or tiers that are none.
        """
        self.provider, self.model = _names(self.provider, self.model)
        if self.provider in FREE_PROVIDERS:
            raise ValidationError({"provider": "What runs here is free, and stays so."})
        try:
            self.tiers = [tier.model_dump(mode="json", exclude_none=True) for tier in parse_tiers(self.tiers or [])]
        except BadTiers as error:
            raise ValidationError({"tiers": str(error)}) from error


def _names(provider: str, model: str) -> tuple[str, str]:
    """Return the names of a provider and of its models in their one form.

    Raises:
        ValidationError: no call has such a provider.
    """
    provider, model = provider.strip().lower(), model.strip().lower()
    if not _PROVIDER.fullmatch(provider):
        raise ValidationError({"provider": "A provider is named as before the colon, and in full."})
    return provider, model


class ModelLimit(models.Model):
    """How often, for how much and by how many at once a model may be asked; all workers together keep to it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    provider = models.CharField(max_length=100, help_text="What stands before the colon in a step's model.")
    model = models.CharField(
        max_length=200,
        help_text="The model's name; * stands for any characters. Where several limits fit, all of them hold.",
    )
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Of input and output together."
    )
    calls_at_once = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model"],
                name="model_limit_once",
                violation_error_message="There are limits of this model.",
            ),
            models.CheckConstraint(
                name="model_limit_lets_something_through",
                condition=~Q(requests_per_minute=0) & ~Q(tokens_per_minute=0) & ~Q(calls_at_once=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    def clean(self) -> None:
        """Bring names into their one form, and ask for a limit.

        Raises:
            ValidationError: a name that no call has, or nothing is limited.
        """
        self.provider, self.model = _names(self.provider, self.model)
        if self.requests_per_minute is None and self.tokens_per_minute is None and self.calls_at_once is None:
            raise ValidationError("Limit something.")


class CallTurn(models.Model):
    """A call to a limited model that waits for its turn, is under way, or was within the last minute."""

    id = models.UUIDField(primary_key=True)
    model = models.CharField(max_length=320)  # provider:model
    scope_id = models.UUIDField()
    tokens = models.PositiveBigIntegerField()  # at most, then as many as were used
    asked_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # when its process was last heard of
    granted_at = models.DateTimeField(null=True)  # NULL: it waits
    ended_at = models.DateTimeField(null=True)  # NULL: it waits, or is under way

    def __str__(self) -> str:
        return f"{self.model} {self.asked_at:%H:%M:%S}"


class ModelCall(models.Model):
    """The ledger: one row per try of a call to a model. Costs are sums over these rows and nothing else."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    execution_id = models.UUIDField()
    step_id = models.CharField(max_length=200)
    attempt = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)  # generate, remediate
    ordinal = models.PositiveIntegerField(default=1)  # tries of the same attempt

    workflow_id = models.CharField(max_length=63)
    scope = models.ForeignKey(
        "access.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )  # model_call_scope_month begins with it
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    status = models.CharField(max_length=20, choices=CallStatus.choices)
    version = models.PositiveIntegerField(default=1)
    requested_model = models.CharField(max_length=200)  # provider:model as asked for
    request_hash = models.CharField(max_length=64)
    provider = models.CharField(max_length=100, blank=True)
    model = models.CharField(max_length=200, blank=True)  # as the provider names it
    dry_run = models.BooleanField(default=False, db_default=False)  # nothing was asked of anybody
    tags = models.JSONField(default=list, db_default=[])  # of the execution, each once
    provider_request_id = models.CharField(max_length=200, blank=True)
    reply = JsonTextField(null=True)  # NULL until there is one

    input_tokens = models.PositiveBigIntegerField(default=0)  # without cached ones
    cache_read_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)  # a part of output_tokens
    billing = models.JSONField(
        default=dict, db_default={}
    )  # what changes its price; {}: nothing (`price_list.Billing`)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)  # NULL: not known
    #: What it costs at most, while `cost_usd` is not known for want of a reply or a count; NULL: no known price.
    estimated_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    reserved_tokens = models.PositiveBigIntegerField(default=0, db_default=0)  # used at most, while that is not known
    latency_ms = models.PositiveIntegerField(null=True)  # NULL until there is a reply
    error = models.TextField(blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)  # NULL while under way

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["execution_id", "step_id", "attempt", "kind", "ordinal"], name="model_call_once"
            ),
            models.CheckConstraint(
                name="model_call_status_known",
                condition=Q(status__in=["pending", "committed", "discarded", "failed", "unknown"]),
            ),
        ]
        indexes = [
            models.Index(fields=["started_at"], name="model_call_started"),  # selectors.summary
            models.Index(fields=["workflow_id", "started_at"], name="model_call_workflow"),  # workflow statistics
            models.Index(fields=["scope", "started_at"], name="model_call_scope_month"),  # budgets of scopes
        ]

    def __str__(self) -> str:
        return f"{self.step_id} {self.attempt} {self.kind} {self.ordinal}"
