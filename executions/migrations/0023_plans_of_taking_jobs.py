"""Settings of `executions_take_jobs`: its plans hold whatever statistics say, over every connection.

Statistics of a queue are always old. Where they say that few jobs wait, the planner reads and sorts all of them to find
the first. Without sorts it takes the index in that order, whatever else it may do; the sorts that are left look dear
then, and would be compiled (JIT) each time.
"""

from __future__ import annotations

from django.db import migrations

_FUNCTION = "ALTER FUNCTION executions_take_jobs(character varying[], bigint, integer, integer)"


class Migration(migrations.Migration):
    """No sort where an index has the order, and no JIT."""

    dependencies = [("executions", "0022_turns_of_users")]

    operations = [
        migrations.RunSQL(f"{_FUNCTION} SET enable_sort = off", f"{_FUNCTION} RESET enable_sort"),
        migrations.RunSQL(f"{_FUNCTION} SET jit = off", f"{_FUNCTION} RESET jit"),
    ]
