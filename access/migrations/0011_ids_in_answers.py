from django.db import migrations

#: The ids in a text. Indexes have them, so the function never changes: another one takes its place.
IDS_IN = r"""
CREATE OR REPLACE FUNCTION access_ids_in(told text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT array(
    SELECT DISTINCT found[1] FROM regexp_matches(
      told, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g'
    ) AS found
  )
$$
"""
DROP = "DROP INDEX CONCURRENTLY IF EXISTS answer_ids"
INDEX = """
CREATE INDEX CONCURRENTLY answer_ids ON access_keptanswer USING gin (access_ids_in(path || ' ' || answer::text))
"""


class Migration(migrations.Migration):
    """Finds stored answers by the ids in them. The index is made while others write; if stopped, it can be run again."""

    atomic = False

    dependencies = [
        ("access", "0010_end_sessions"),
    ]

    operations = [
        migrations.RunSQL(IDS_IN, "DROP FUNCTION access_ids_in"),
        migrations.RunSQL(DROP, migrations.RunSQL.noop),
        migrations.RunSQL(INDEX, DROP),
    ]
