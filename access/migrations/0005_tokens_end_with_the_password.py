"""Tokens end with the password that they were made under, and with the account: whatever writes the user's row."""

from __future__ import annotations

from django.db import migrations

_FUNCTION = """
CREATE FUNCTION access_end_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The same password that is only hashed anew ends nothing; access.services says so, for its transaction.
  IF NEW.is_active AND current_setting('scriptorium.same_password_of', true) = NEW.id::text THEN
    RETURN NULL;
  END IF;
  DELETE FROM knox_authtoken WHERE user_id = NEW.id;
  RETURN NULL;
END;
$$
"""
_TRIGGER = """
CREATE TRIGGER access_end_tokens AFTER UPDATE OF password, is_active ON auth_user FOR EACH ROW
WHEN (OLD.password IS DISTINCT FROM NEW.password OR (OLD.is_active AND NOT NEW.is_active))
EXECUTE FUNCTION access_end_tokens()
"""


class Migration(migrations.Migration):
    """A trigger on Django's table of users: admin, commands, code and people with psql all pass it."""

    dependencies = [
        ("access", "0004_password_tries"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [
        migrations.RunSQL(_FUNCTION, "DROP FUNCTION access_end_tokens"),
        migrations.RunSQL(_TRIGGER, "DROP TRIGGER access_end_tokens ON auth_user"),
    ]
