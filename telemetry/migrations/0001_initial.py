import django.core.validators
import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import common.database.json_field


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("access", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CallTurn",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("model", models.CharField(max_length=320)),
                ("scope_id", models.UUIDField()),
                ("tokens", models.PositiveBigIntegerField()),
                ("asked_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("granted_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ScopeBudget",
            fields=[
                (
                    "scope",
                    models.OneToOneField(
                        limit_choices_to={"parent": None},
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="access.scope",
                    ),
                ),
                (
                    "max_cost_usd",
                    models.DecimalField(
                        decimal_places=10,
                        help_text="US dollars a month.",
                        max_digits=20,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
            ],
        ),
        migrations.CreateModel(
            name="ModelLimit",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "provider",
                    models.CharField(help_text="The part before the colon in a step's model.", max_length=100),
                ),
                (
                    "model",
                    models.CharField(
                        help_text="The model's name; * matches any characters. If several limits match, all apply.",
                        max_length=200,
                    ),
                ),
                (
                    "requests_per_minute",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "tokens_per_minute",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Sum of input and output.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "calls_at_once",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "model"),
                        name="model_limit_once",
                        violation_error_message="This model already has limits.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("requests_per_minute", 0), _negated=True),
                            models.Q(("tokens_per_minute", 0), _negated=True),
                            models.Q(("calls_at_once", 0), _negated=True),
                        ),
                        name="model_limit_lets_something_through",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "provider",
                    models.CharField(
                        help_text="The part before the colon in a step's model: openai, anthropic, ollama …",
                        max_length=100,
                    ),
                ),
                (
                    "model",
                    models.CharField(
                        help_text="The model's name; * matches any characters. A name without * has priority over a name with *; of two names with *, the one with the longer part before * has priority.",
                        max_length=200,
                    ),
                ),
                (
                    "effective_from",
                    models.DateTimeField(help_text="In UTC. The price is valid until a later price of the same name."),
                ),
                (
                    "input_usd",
                    models.DecimalField(
                        decimal_places=8,
                        help_text="US dollars per million tokens, like all rates.",
                        max_digits=15,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1000000),
                        ],
                        verbose_name="input",
                    ),
                ),
                (
                    "cache_read_usd",
                    models.DecimalField(
                        blank=True,
                        decimal_places=8,
                        help_text="Empty: the same as input.",
                        max_digits=15,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1000000),
                        ],
                        verbose_name="cache read",
                    ),
                ),
                (
                    "cache_write_usd",
                    models.DecimalField(
                        blank=True,
                        decimal_places=8,
                        help_text="Empty: the same as input.",
                        max_digits=15,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1000000),
                        ],
                        verbose_name="cache write",
                    ),
                ),
                (
                    "output_usd",
                    models.DecimalField(
                        decimal_places=8,
                        help_text="Includes reasoning tokens.",
                        max_digits=15,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1000000),
                        ],
                        verbose_name="output",
                    ),
                ),
                (
                    "tiers",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text='Rates of the whole call if its input is longer than a threshold, as JSON: [{"above_input_tokens": 200000, "input": "2.5", "cache_read": "0.25", "output": "15"}]',
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "model", "effective_from"),
                        name="price_once",
                        violation_error_message="This model already has a price from this time on.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("input_usd__range", (0, 1000000)),
                            ("cache_read_usd__range", (0, 1000000)),
                            ("cache_write_usd__range", (0, 1000000)),
                            ("output_usd__range", (0, 1000000)),
                        ),
                        name="price_within_bounds",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ModelCall",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("execution_id", models.UUIDField()),
                ("step_id", models.CharField(max_length=200)),
                ("attempt", models.PositiveIntegerField()),
                ("kind", models.CharField(max_length=20)),
                ("ordinal", models.PositiveIntegerField(default=1)),
                ("workflow_id", models.CharField(max_length=63)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("committed", "Committed"),
                            ("discarded", "Discarded"),
                            ("failed", "Failed"),
                            ("unknown", "Unknown"),
                        ],
                        max_length=20,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("requested_model", models.CharField(max_length=200)),
                ("request_hash", models.CharField(max_length=64)),
                ("provider", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("dry_run", models.BooleanField(db_default=False, default=False)),
                ("tags", models.JSONField(db_default=[], default=list)),
                ("provider_request_id", models.CharField(blank=True, max_length=200)),
                ("reply", common.database.json_field.JsonTextField(null=True)),
                ("input_tokens", models.PositiveBigIntegerField(default=0)),
                ("cache_read_input_tokens", models.PositiveBigIntegerField(default=0)),
                ("cache_write_input_tokens", models.PositiveBigIntegerField(default=0)),
                ("output_tokens", models.PositiveBigIntegerField(default=0)),
                ("reasoning_tokens", models.PositiveBigIntegerField(default=0)),
                ("billing", models.JSONField(db_default={}, default=dict)),
                ("cost_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("estimated_cost_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("reserved_tokens", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("latency_ms", models.PositiveIntegerField(null=True)),
                ("error", models.TextField(blank=True)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "scope",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="access.scope"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["started_at"], name="model_call_started"),
                    models.Index(fields=["workflow_id", "started_at"], name="model_call_workflow"),
                    models.Index(fields=["scope", "started_at"], name="model_call_scope_month"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("execution_id", "step_id", "attempt", "kind", "ordinal"), name="model_call_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["pending", "committed", "discarded", "failed", "unknown"])),
                        name="model_call_status_known",
                    ),
                ],
            },
        ),
    ]
