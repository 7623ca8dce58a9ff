"""Tables of calls, prices, budgets and rate limits; `ledger` writes calls, `selectors` reads them."""

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
from telemetry.price_list import FREE_PROVIDERS, MAX_RATE, BadTiers, parse_tiers


class CallStatus(models.TextChoices):
    """Status of a call; the same values as `executions.engine.domain.states.CallStatus`."""

    PENDING = "pending"
    COMMITTED = "committed"
    DISCARDED = "discarded"
    FAILED = "failed"
    UNKNOWN = "unknown"


_PROVIDER = re.compile(r"[a-z0-9][a-z0-9/_-]*")


class ScopeBudget(models.Model):
    """Budget of a root scope per calendar month (UTC). Each transaction that spends locks the row."""

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
    bounds = [MinValueValidator(0), MaxValueValidator(MAX_RATE)]
    return models.DecimalField(max_digits=15, decimal_places=8, validators=bounds, **options)


class Price(models.Model):
    """A configured price of a model, valid from a time on. It overrides the bundled price list.

    Rates are US dollars per million tokens.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    provider = models.CharField(
        max_length=100, help_text="The part before the colon in a step's model: openai, anthropic, ollama …"
    )
    model = models.CharField(
        max_length=200,
        help_text="The model's name; * matches any characters. A name without * has priority over a name with *; "
        "of two names with *, the one with the longer part before * has priority.",
    )
    effective_from = models.DateTimeField(help_text="In UTC. The price is valid until a later price of the same name.")
    input_usd = _rate(verbose_name="input", help_text="US dollars per million tokens, like all rates.")
    cache_read_usd = _rate(verbose_name="cache read", null=True, blank=True, help_text="Empty: the same as input.")
    cache_write_usd = _rate(verbose_name="cache write", null=True, blank=True, help_text="Empty: the same as input.")
    output_usd = _rate(verbose_name="output", help_text="Includes reasoning tokens.")
    tiers = models.JSONField(
        default=list,
        blank=True,
        help_text="Rates of the whole call if its input is longer than a threshold, as JSON: "
        '[{"above_input_tokens": 200000, "input": "2.5", "cache_read": "0.25", "output": "15"}]',
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "effective_from"],
                name="price_once",
                violation_error_message="This model already has a price from this time on.",
            ),
            models.CheckConstraint(
                name="price_within_bounds",  # NULL passes
                condition=Q(input_usd__range=(0, MAX_RATE))
                & Q(cache_read_usd__range=(0, MAX_RATE))
                & Q(cache_write_usd__range=(0, MAX_RATE))
                & Q(output_usd__range=(0, MAX_RATE)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} from {self.effective_from:%Y-%m-%d %H:%M}"

    def clean(self) -> None:
        """Normalize names and tiers.

        Raises:
            ValidationError: an invalid provider name, or invalid tiers.
        """
        self.provider, self.model = _names(self.provider, self.model)
        if self.provider in FREE_PROVIDERS:
            raise ValidationError({"provider": "This provider runs on the server and is always free."})
        try:
            self.tiers = [tier.model_dump(mode="json", exclude_none=True) for tier in parse_tiers(self.tiers or [])]
        except BadTiers as error:
            raise ValidationError({"tiers": str(error)}) from error


def _names(provider: str, model: str) -> tuple[str, str]:
    """Return the normalized names of a provider and its models.

    Raises:
        ValidationError: the provider name is invalid.
    """
    provider, model = provider.strip().lower(), model.strip().lower()
    if not _PROVIDER.fullmatch(provider):
        raise ValidationError({"provider": "Enter the provider's full name, as in a step's model before the colon."})
    return provider, model


class ModelLimit(models.Model):
    """Rate limits of a model: requests, tokens and concurrent calls. All workers share them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.PositiveIntegerField(default=1)
    provider = models.CharField(max_length=100, help_text="The part before the colon in a step's model.")
    model = models.CharField(
        max_length=200,
        help_text="The model's name; * matches any characters. If several limits match, all apply.",
    )
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Sum of input and output."
    )
    calls_at_once = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model"],
                name="model_limit_once",
                violation_error_message="This model already has limits.",
            ),
            models.CheckConstraint(
                name="model_limit_lets_something_through",
                condition=~Q(requests_per_minute=0) & ~Q(tokens_per_minute=0) & ~Q(calls_at_once=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    def clean(self) -> None:
        """Normalize names.

        Raises:
            ValidationError: an invalid provider name, or no limit.
        """
        self.provider, self.model = _names(self.provider, self.model)
        if self.requests_per_minute is None and self.tokens_per_minute is None and self.calls_at_once is None:
            raise ValidationError("Enter at least one limit.")


class CallTurn(models.Model):
    """A call to a rate-limited model that is queued, in progress, or ended within the last minute."""

    id = models.UUIDField(primary_key=True)
    model = models.CharField(max_length=320)  # provider:model
    scope_id = models.UUIDField()
    tokens = models.PositiveBigIntegerField()  # max, then the number used
    asked_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # last report of its process
    granted_at = models.DateTimeField(null=True)  # NULL: queued
    ended_at = models.DateTimeField(null=True)  # NULL: queued or in progress

    def __str__(self) -> str:
        return f"{self.model} {self.asked_at:%H:%M:%S}"


class ModelCall(models.Model):
    """The ledger: one row per try of a call to a model. All costs are sums over these rows."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    execution_id = models.UUIDField()
    step_id = models.CharField(max_length=200)
    attempt = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)  # generate, clarify, remediate, review
    ordinal = models.PositiveIntegerField(default=1)  # tries of the same attempt

    workflow_id = models.CharField(max_length=63)
    scope = models.ForeignKey(
        "access.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )  # model_call_scope_month begins with it
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    status = models.CharField(max_length=20, choices=CallStatus.choices)
    version = models.PositiveIntegerField(default=1)
    requested_model = models.CharField(max_length=200)  # provider:model as requested
    request_hash = models.CharField(max_length=64)
    provider = models.CharField(max_length=100, blank=True)
    model = models.CharField(max_length=200, blank=True)  # as the provider names it
    dry_run = models.BooleanField(default=False, db_default=False)  # no provider was called
    tags = models.JSONField(default=list, db_default=[])  # of the execution, without duplicates
    provider_request_id = models.CharField(max_length=200, blank=True)
    reply = JsonTextField(null=True)  # NULL: no reply yet

    input_tokens = models.PositiveBigIntegerField(default=0)  # without cached ones
    cache_read_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)  # a part of output_tokens
    billing = models.JSONField(
        default=dict, db_default={}
    )  # conditions that change the price (`price_list.Billing`); {}: standard price
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)  # NULL: unknown
    #: Max cost, while `cost_usd` is unknown because a reply or a token count is missing; NULL: no known price.
    estimated_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    reserved_tokens = models.PositiveBigIntegerField(default=0, db_default=0)  # max usage, while the usage is unknown
    latency_ms = models.PositiveIntegerField(null=True)  # NULL: no reply yet
    error = models.TextField(blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)  # NULL: in progress
    erased_at = models.DateTimeField(null=True)  # when the texts of reply and error were erased; NULL: they were not

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


_ROLLED_UP = (
    *("calls", "input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens"),
    *("reasoning_tokens", "known_cost_usd", "unpriced_calls", "pending_calls", "latency_ms", "timed_calls"),
)


class Rollup(models.Model):
    """Sums over the calls of a group in a sealed block of time; see `rollups`."""

    level = models.PositiveSmallIntegerField()  # `rollups.blocks.Level`
    start = models.DateTimeField()
    cut = models.CharField(max_length=20)  # `rollups.cuts.Cut`
    key = models.TextField()
    subkey = models.TextField()
    scope_id = models.UUIDField(null=True)  # NULL: all scopes
    dry_run = models.BooleanField()
    #: Quarter in which the executions were active in this group before the block; NULL: never.
    previous = models.DateTimeField(null=True)
    executions = models.PositiveBigIntegerField()
    calls = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    cache_read_input_tokens = models.PositiveBigIntegerField()
    cache_write_input_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    reasoning_tokens = models.PositiveBigIntegerField()
    known_cost_usd = models.DecimalField(max_digits=30, decimal_places=10)
    unpriced_calls = models.PositiveBigIntegerField()
    pending_calls = models.PositiveBigIntegerField()
    latency_ms = models.PositiveBigIntegerField()
    timed_calls = models.PositiveBigIntegerField()  # with a latency

    class Meta:
        indexes = [
            models.Index(  # rollups.reads: all columns, because rows of one cut lie far apart in the table
                fields=["cut", "level", "start"],
                include=["key", "subkey", "dry_run", "previous", "executions", *_ROLLED_UP],
                name="rollup_of_all",
                condition=Q(scope_id__isnull=True),
            ),
            models.Index(  # rollups.reads
                fields=["cut", "level", "scope_id", "start"],
                name="rollup_of_scope",
                condition=Q(scope_id__isnull=False),
            ),
            models.Index(fields=["level", "start"], name="rollup_of_block"),  # rollups.seal
        ]

    def __str__(self) -> str:
        return f"{self.cut} {self.key} {self.subkey} {self.start:%Y-%m-%d %H:%M}"


class RollupState(models.Model):
    """How far blocks are sealed: one row."""

    sealed_until = models.DateTimeField(null=True)  # all blocks that end until then are sealed; NULL: no block is
    settled_until = models.DateTimeField(null=True)  # all transactions that wrote before then have ended
    horizon_xid = models.BigIntegerField(null=True)  # id of a transaction that began at `horizon_at`
    horizon_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sealed until {self.sealed_until}"


class BusyScope(models.Model):
    """A scope with many calls: its rows of days and hours are kept for good. Other scopes keep months."""

    scope_id = models.UUIDField(primary_key=True)
    since = models.DateTimeField()  # start of the month in which it became busy; hours are kept from its end on

    def __str__(self) -> str:
        return f"{self.scope_id} since {self.since:%Y-%m}"


class ChangedQuarter(models.Model):
    """A quarter of an hour in which a transaction has changed calls late; a trigger writes it.

    The blocks that contain it are not used until they are computed again.
    """

    start = models.DateTimeField()
    xid = models.BigIntegerField()  # of the transaction

    class Meta:
        constraints = [models.UniqueConstraint(fields=["start", "xid"], name="changed_quarter_once")]

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M}"
