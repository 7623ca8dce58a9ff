from django.db import migrations

_END_SESSIONS = """
CREATE FUNCTION access_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM django_session WHERE session_key IN (
    SELECT session_id FROM access_sessionname WHERE user_id = NEW.id
  );
  DELETE FROM access_sessionname WHERE user_id = NEW.id;
  RETURN NULL;
END;
$$
"""
#: Also at the activation, for a login that was stored while the user was deactivated.
_WHEN_A_USER_IS_SHUT_OUT = """
CREATE TRIGGER access_end_sessions AFTER UPDATE OF is_active ON access_user FOR EACH ROW
WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active)
EXECUTE FUNCTION access_end_sessions()
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0009_role_by_hand"), ("sessions", "0001_initial")]

    operations = [
        migrations.RunSQL(_END_SESSIONS, "DROP FUNCTION access_end_sessions"),
        migrations.RunSQL(_WHEN_A_USER_IS_SHUT_OUT, "DROP TRIGGER access_end_sessions ON access_user"),
    ]
