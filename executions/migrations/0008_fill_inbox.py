from django.db import migrations

#: What waits at the time of the upgrade.
FILL_STEPS = """
INSERT INTO executions_inboxentry
  (id, execution_id, step_id, kind, root_id, workflow_id, dry_run, since, due_at, assignees, only_assignees, excluded)
SELECT gen_random_uuid(), execution.id, step.step_id,
  CASE WHEN step.asked_at IS NULL THEN 'acceptance' ELSE 'question' END,
  execution.scope_id, execution.workflow_id, execution.script IS NOT NULL, coalesce(step.asked_at, execution.updated_at),
  CASE WHEN step.asked_at IS NOT NULL THEN (step.rounds -> -1 ->> 'expires_at')::timestamptz END, '[]', false, '[]'
FROM executions_execution AS execution JOIN executions_executionstep AS step ON step.execution_id = execution.id
WHERE execution.status IN ('pending', 'running', 'waiting') AND step.status = 'waiting'
  AND (step.asked_at IS NOT NULL OR (step.resume_at IS NULL AND step.blocked_by_limit = ''))
ON CONFLICT DO NOTHING"""
FILL_EXECUTIONS = """
INSERT INTO executions_inboxentry
  (id, execution_id, step_id, kind, root_id, workflow_id, dry_run, since, due_at, assignees, only_assignees, excluded)
SELECT gen_random_uuid(), id, '', CASE WHEN status = 'failed' THEN 'failure' ELSE 'budget' END,
  scope_id, workflow_id, script IS NOT NULL, coalesce(finished_at, updated_at), NULL, '[]', false, '[]'
FROM executions_execution
WHERE (status = 'failed' AND finished_at > now() - interval '14 days')
  OR (status = 'waiting' AND waiting_on @> '["budget"]')
ON CONFLICT DO NOTHING"""


class Migration(migrations.Migration):
    """The inbox begins with what waits now. It is filled after its table is made, so that no writer waits."""

    dependencies = [
        ("executions", "0007_inbox"),
    ]

    operations = [
        migrations.RunSQL(FILL_STEPS, migrations.RunSQL.noop),
        migrations.RunSQL(FILL_EXECUTIONS, migrations.RunSQL.noop),
    ]
