import django.db.models.fields.composite
from django.db import migrations, models

FUNCTION = """
CREATE FUNCTION executions_list_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM executions_executiontag
    WHERE tag IN (SELECT jsonb_array_elements_text(OLD.tags)) AND created_at = OLD.created_at AND execution_id = OLD.id;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO executions_executiontag (tag, created_at, execution_id)
    SELECT DISTINCT tag, NEW.created_at, NEW.id FROM jsonb_array_elements_text(NEW.tags) AS tag
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END;
$$
"""
#: An execution without tags costs the comparison alone. Steps do not set the columns.
TRIGGERS = """
CREATE TRIGGER executions_list_inserted AFTER INSERT ON executions_execution FOR EACH ROW
WHEN (NEW.tags <> '[]') EXECUTE FUNCTION executions_list_tags();
CREATE TRIGGER executions_list_updated AFTER UPDATE OF tags, created_at ON executions_execution FOR EACH ROW
WHEN ((OLD.tags, OLD.created_at) IS DISTINCT FROM (NEW.tags, NEW.created_at)) EXECUTE FUNCTION executions_list_tags();
CREATE TRIGGER executions_list_deleted AFTER DELETE ON executions_execution FOR EACH ROW
WHEN (OLD.tags <> '[]') EXECUTE FUNCTION executions_list_tags()
"""
WITHOUT_TRIGGERS = """
DROP TRIGGER IF EXISTS executions_list_inserted ON executions_execution;
DROP TRIGGER IF EXISTS executions_list_updated ON executions_execution;
DROP TRIGGER IF EXISTS executions_list_deleted ON executions_execution
"""
WITHOUT_FUNCTION = "DROP FUNCTION executions_list_tags()"


class Migration(migrations.Migration):
    """Adds the table of tags, empty, and the triggers that keep it. No row of an execution is read."""

    dependencies = [
        ("executions", "0014_scope_retention"),
    ]

    operations = [
        migrations.CreateModel(
            name="ExecutionTag",
            fields=[
                (
                    "pk",
                    django.db.models.fields.composite.CompositePrimaryKey(
                        "tag",
                        "created_at",
                        "execution_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tag", models.TextField()),
                ("created_at", models.DateTimeField()),
                ("execution_id", models.UUIDField()),
            ],
        ),
        migrations.RunSQL(FUNCTION, WITHOUT_FUNCTION),
        migrations.RunSQL(TRIGGERS, WITHOUT_TRIGGERS),
    ]
