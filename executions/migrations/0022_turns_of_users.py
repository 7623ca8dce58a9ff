"""Users take turns, then their scopes: which jobs are taken next, and the indexes by which they are found."""

from __future__ import annotations

from django.db import migrations

_TAKE_JOBS = """
CREATE FUNCTION executions_take_jobs(queues character varying[], worker bigint, many integer, per_user integer)
RETURNS SETOF procrastinate_jobs LANGUAGE plpgsql AS $$
DECLARE
  first procrastinate_jobs;   -- whose user's turn it is
  chosen procrastinate_jobs;  -- that goes: the one of this user whose scope's turn it is
  owner text;
  passed text[];              -- users who run as many as they may, or have nothing that can go
  at_work jsonb;              -- executions that users run now
  taken integer := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = ANY (queues)) THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(7316204553);  -- one worker at a time: nobody counts what another is about to take
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
    ELSE  -- from user to user, past however many jobs of those who are passed
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
    IF chosen.priority <> first.priority THEN  -- the turn is the user's: the other job has the next one
      UPDATE procrastinate_jobs SET priority = chosen.priority WHERE id = first.id AND status = 'todo';
    END IF;
    BEGIN
      UPDATE procrastinate_jobs SET status = 'doing', worker_id = worker, priority = first.priority
      WHERE id = chosen.id RETURNING * INTO chosen;
    EXCEPTION WHEN unique_violation THEN  -- a worker of an earlier release has just taken a job with the same lock
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


def _index(name: str, columns: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE INDEX {name} ON procrastinate_jobs ({columns}) WHERE status = 'todo'", f"DROP INDEX {name}"
    )


class Migration(migrations.Migration):
    """A function and indexes on Procrastinate's table, of jobs that wait."""

    dependencies = [
        ("executions", "0021_optional_brief"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]

    operations = [
        migrations.RunSQL(
            "DROP INDEX executions_job_scope",
            "CREATE INDEX executions_job_scope ON procrastinate_jobs ((args ->> 'scope'), priority) WHERE status = 'todo'",
        ),
        _index("executions_job_scope_turn", "(args ->> 'scope'), (coalesce((args ->> 'turn')::integer, 0))"),
        _index(
            "executions_job_user_turn", "(coalesce(args ->> 'user', '')), (coalesce((args ->> 'turn')::integer, 0)), id"
        ),
        _index("executions_job_user", "(coalesce(args ->> 'user', '')), priority DESC, id"),
        migrations.RunSQL(_TAKE_JOBS, "DROP FUNCTION executions_take_jobs"),
    ]
