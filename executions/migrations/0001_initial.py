import datetime

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.database.json_field

#: Users take turns, then their scopes: the jobs that a worker takes next. Docs: `executions.queue.jobs`.
#:
#: Its settings hold over every connection. Statistics of a queue are always old. Where they say that few jobs wait, the
#: planner reads and sorts all of them to find the first. With `enable_sort` off it takes the index that has the order.
#: The planner finds the remaining sorts expensive then, and would compile them (JIT) each time.
_TAKE_JOBS = """
CREATE FUNCTION executions_take_jobs(queues character varying[], worker bigint, many integer, per_user integer)
RETURNS SETOF procrastinate_jobs LANGUAGE plpgsql SET enable_sort = off SET jit = off AS $$
DECLARE
  first procrastinate_jobs;   -- the job of the user whose turn it is
  chosen procrastinate_jobs;  -- the job to take: the one of this user whose scope's turn it is
  owner text;
  passed text[];              -- users who run as many as they may, or have no job that can be taken
  at_work jsonb;              -- executions that users run now, by user
  taken integer := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = ANY (queues)) THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(7316204553);  -- one worker at a time, as each counts the jobs of the others
  SELECT coalesce(jsonb_object_agg(who, number), '{}'), coalesce(array_agg(who) FILTER (WHERE number >= per_user), '{}')
  INTO at_work, passed
  FROM (
    SELECT job.args ->> 'user' AS who, count(DISTINCT job.lock) AS number FROM procrastinate_jobs AS job
    WHERE job.status = 'doing' AND job.queue_name = ANY (queues) AND coalesce(job.args ->> 'user', '') <> ''
    GROUP BY 1
  ) AS counted;
  WHILE taken < many LOOP
    IF passed = '{}' THEN
      SELECT job.* INTO first FROM procrastinate_jobs AS job
      WHERE job.status = 'todo' AND job.queue_name = ANY (queues)
        AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
      ORDER BY job.priority DESC, job.id LIMIT 1;
    ELSE  -- from user to user, however many jobs of passed users are in between
      WITH RECURSIVE users AS (
        (SELECT coalesce(args ->> 'user', '') AS who FROM procrastinate_jobs WHERE status = 'todo' ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT (
          SELECT coalesce(job.args ->> 'user', '') FROM procrastinate_jobs AS job
          WHERE job.status = 'todo' AND coalesce(job.args ->> 'user', '') > users.who ORDER BY 1 LIMIT 1
        ) FROM users WHERE users.who IS NOT NULL
      )
      SELECT head.* INTO first FROM users, LATERAL (
        SELECT job.* FROM procrastinate_jobs AS job
        WHERE job.status = 'todo' AND coalesce(job.args ->> 'user', '') = users.who AND job.queue_name = ANY (queues)
          AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
        ORDER BY job.priority DESC, job.id LIMIT 1
      ) AS head
      WHERE users.who <> ALL (passed) ORDER BY head.priority DESC, head.id LIMIT 1;
    END IF;
    EXIT WHEN first.id IS NULL;
    owner := coalesce(first.args ->> 'user', '');
    SELECT job.* INTO chosen FROM procrastinate_jobs AS job
    WHERE job.status = 'todo' AND coalesce(job.args ->> 'user', '') = owner AND job.queue_name = ANY (queues)
      AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
      AND NOT EXISTS (SELECT FROM procrastinate_jobs AS other WHERE other.lock = job.lock AND other.status = 'doing')
    ORDER BY coalesce((job.args ->> 'turn')::integer, 0), job.id LIMIT 1 FOR UPDATE OF job SKIP LOCKED;
    IF chosen.id IS NULL THEN
      passed := passed || owner;
      CONTINUE;
    END IF;
    IF chosen.priority <> first.priority THEN  -- the turn is the user's: the first job keeps the next one
      UPDATE procrastinate_jobs SET priority = chosen.priority WHERE id = first.id AND status = 'todo';
    END IF;
    BEGIN
      UPDATE procrastinate_jobs SET status = 'doing', worker_id = worker, priority = first.priority
      WHERE id = chosen.id RETURNING * INTO chosen;
    EXCEPTION WHEN unique_violation THEN  -- another client has just taken a job with the same lock
      passed := passed || owner;
      CONTINUE;
    END;
    taken := taken + 1;
    IF owner <> '' THEN
      at_work := at_work || jsonb_build_object(owner, coalesce((at_work ->> owner)::integer, 0) + 1);
      IF (at_work ->> owner)::integer >= per_user THEN
        passed := passed || owner;
      END IF;
    END IF;
    RETURN NEXT chosen;
  END LOOP;
END;
$$
"""


def _index(name, columns):
    return migrations.RunSQL(
        f"CREATE INDEX {name} ON procrastinate_jobs ({columns}) WHERE status = 'todo'", f"DROP INDEX {name}"
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("procrastinate", "0041_post_retry_failed_job"),
        ("access", "0001_initial"),
        ("workflows", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Feed",
            fields=[
                (
                    "scope",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="access.scope",
                    ),
                ),
                ("last", models.PositiveBigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="WorkerHeartbeat",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField()),
                ("heartbeat_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Execution",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("workflow_id", models.CharField(max_length=63)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("waiting", "Waiting"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        max_length=20,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("claimed_by", models.CharField(max_length=100, null=True)),
                ("fencing_token", models.PositiveIntegerField(default=0)),
                ("recoveries", models.PositiveIntegerField(default=0)),
                ("last_sequence", models.PositiveIntegerField(default=0)),
                ("oldest_sequence", models.PositiveIntegerField(db_default=1, default=1)),
                ("pruned", models.BooleanField(db_default=False, default=False)),
                ("waited", models.DurationField(db_default=datetime.timedelta(0), default=datetime.timedelta)),
                ("waiting_on", models.JSONField(default=list)),
                ("failure_code", models.CharField(blank=True, max_length=40)),
                ("failure_message", models.TextField(blank=True)),
                ("input", common.database.json_field.JsonTextField(null=True)),
                ("tags", models.JSONField(default=list)),
                ("requested_by_name", models.CharField(blank=True, max_length=150)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("resume_at", models.DateTimeField(null=True)),
                ("deadline_at", models.DateTimeField(null=True)),
                ("budget", models.JSONField(null=True)),
                ("script", models.JSONField(null=True)),
                ("warned_limits", models.JSONField(db_default=[], default=list)),
                ("ran_seconds", models.FloatField(db_default=0.0, default=0.0)),
                ("running_since", models.DateTimeField(null=True)),
                (
                    "requested_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "scope",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="access.scope"
                    ),
                ),
                (
                    "workflow_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workflows.workflowversion"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ExecutionEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sequence", models.PositiveIntegerField()),
                ("scope_id", models.UUIDField()),
                ("scope_sequence", models.PositiveBigIntegerField()),
                ("event_type", models.CharField(max_length=40)),
                ("step_id", models.CharField(max_length=200, null=True)),
                ("data", common.database.json_field.JsonTextField(default=dict)),
                ("timestamp", models.DateTimeField()),
                (
                    "execution",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="executions.execution",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ExecutionStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("step_id", models.CharField(max_length=200)),
                ("label", models.CharField(blank=True, max_length=200)),
                ("item_order", models.PositiveBigIntegerField(default=0)),
                ("optional", models.BooleanField(default=False)),
                ("position", models.PositiveIntegerField()),
                ("level", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=80)),
                ("role", models.CharField(max_length=80)),
                ("produces", models.CharField(max_length=63)),
                ("depends_on", models.JSONField(default=list)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("waiting", "Waiting"),
                            ("remediating", "Remediating"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("skipped", "Skipped"),
                        ],
                        max_length=20,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("attempt", models.PositiveIntegerField(default=0)),
                ("invalid_outputs", models.PositiveIntegerField(default=0)),
                ("input_versions", models.JSONField(default=list)),
                ("rounds", models.JSONField(default=list)),
                ("asked_at", models.DateTimeField(null=True)),
                ("decisions", models.JSONField(default=list)),
                ("violations", models.JSONField(default=list)),
                ("document_id", models.UUIDField(null=True)),
                ("document_version", models.PositiveIntegerField(null=True)),
                ("failure_code", models.CharField(blank=True, max_length=40)),
                ("failure_message", models.TextField(blank=True)),
                ("resume_at", models.DateTimeField(null=True)),
                ("blocked_by_limit", models.CharField(blank=True, db_default="", default="", max_length=20)),
                ("required_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "execution",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="executions.execution",
                    ),
                ),
                (
                    "scope",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="access.scope"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StepDraft",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("execution_id", models.UUIDField()),
                ("step_id", models.CharField(max_length=200)),
                ("attempt", models.PositiveIntegerField()),
                ("ordinal", models.PositiveIntegerField()),
                ("offset", models.PositiveIntegerField()),
                ("text", models.TextField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("execution_id", "step_id", "attempt", "ordinal", "offset"), name="draft_once_per_offset"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(fields=["-created_at", "-id"], name="execution_newest"),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(fields=["scope", "-created_at"], name="execution_scope"),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("status__in", ["pending", "running"])), fields=["id"], name="execution_open"
            ),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(condition=models.Q(("status", "waiting")), fields=["id"], name="execution_waiting"),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("resume_at__isnull", False)), fields=["resume_at"], name="execution_resume"
            ),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("deadline_at__isnull", False)), fields=["deadline_at"], name="execution_deadline"
            ),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False), ("pruned", False)),
                fields=["finished_at", "id"],
                name="execution_to_prune",
            ),
        ),
        migrations.AddConstraint(
            model_name="execution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["pending", "running", "waiting", "completed", "failed", "cancelled"])
                ),
                name="execution_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="execution",
            constraint=models.CheckConstraint(
                condition=models.Q(("claimed_by__isnull", True), ("status", "running"), _connector="OR"),
                name="execution_claimed_only_while_running",
            ),
        ),
        migrations.AddConstraint(
            model_name="executionevent",
            constraint=models.UniqueConstraint(fields=("execution", "sequence"), name="event_once_per_sequence"),
        ),
        migrations.AddConstraint(
            model_name="executionevent",
            constraint=models.UniqueConstraint(
                fields=("scope_id", "scope_sequence"), name="event_once_per_scope_sequence"
            ),
        ),
        migrations.AddIndex(
            model_name="executionstep",
            index=models.Index(
                condition=models.Q(("blocked_by_limit", "scope_month")),
                fields=["execution"],
                name="step_blocked_by_month",
            ),
        ),
        migrations.AddIndex(
            model_name="executionstep",
            index=models.Index(
                condition=models.Q(("asked_at__isnull", False)), fields=["asked_at", "id"], name="step_asking"
            ),
        ),
        migrations.AddConstraint(
            model_name="executionstep",
            constraint=models.UniqueConstraint(fields=("execution", "step_id"), name="step_once_per_execution"),
        ),
        migrations.AddConstraint(
            model_name="executionstep",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        ["pending", "running", "waiting", "remediating", "completed", "failed", "cancelled", "skipped"],
                    )
                ),
                name="step_status_known",
            ),
        ),
        # Drafts are written for every piece of a reply, and a worker can write them again: they need no write-ahead log.
        migrations.RunSQL("ALTER TABLE executions_stepdraft SET UNLOGGED", migrations.RunSQL.noop),
        # The sequence of their ids became unlogged with the table; a replica that takes over could not read it.
        migrations.RunSQL("ALTER SEQUENCE executions_stepdraft_id_seq SET LOGGED", migrations.RunSQL.noop),
        # Indexes on Procrastinate's table, for jobs that wait.
        _index("executions_job_scope_turn", "(args ->> 'scope'), (coalesce((args ->> 'turn')::integer, 0))"),
        _index(
            "executions_job_user_turn", "(coalesce(args ->> 'user', '')), (coalesce((args ->> 'turn')::integer, 0)), id"
        ),
        _index("executions_job_user", "(coalesce(args ->> 'user', '')), priority DESC, id"),
        migrations.RunSQL(_TAKE_JOBS, "DROP FUNCTION executions_take_jobs"),
    ]
