import uuid_utils.compat
from django.db import migrations, models

_REFUSE = """
CREATE FUNCTION access_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The audit log is append-only: % is refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$
"""
#: A trigger, because the role of the application owns the table, and no privilege can be taken from an owner.
_ON_EVERY_OTHER_WRITE = """
CREATE TRIGGER access_keep_audit BEFORE UPDATE OR DELETE OR TRUNCATE ON access_auditentry
FOR EACH STATEMENT EXECUTE FUNCTION access_keep_audit()
"""
_NAME = r"^[a-z_]+(\.[a-z_]+)?$"


class Migration(migrations.Migration):
    dependencies = [("access", "0004_invitations")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField()),
                ("act", models.CharField(max_length=40)),
                ("via", models.CharField(max_length=10)),
                ("user_id", models.BigIntegerField(null=True)),
                ("token", models.CharField(blank=True, max_length=64)),
                ("session", models.UUIDField(null=True)),
                ("address", models.CharField(blank=True, max_length=64)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("subject_kind", models.CharField(max_length=80)),
                ("subject_id", models.CharField(blank=True, max_length=200)),
                ("part", models.CharField(blank=True, max_length=200)),
                ("root_id", models.UUIDField(null=True)),
                ("version", models.IntegerField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("act__regex", _NAME)), name="audit_act_is_a_name"),
                    models.CheckConstraint(
                        condition=models.Q(("subject_kind__regex", _NAME)), name="audit_kind_is_a_name"
                    ),
                ],
                "indexes": [
                    models.Index(fields=["at", "id"], name="audit_by_time"),
                    models.Index(fields=["user_id", "at", "id"], name="audit_by_user"),
                    models.Index(fields=["root_id", "at", "id"], name="audit_by_scope"),
                    models.Index(fields=["subject_id", "at", "id"], name="audit_by_subject"),
                ],
            },
        ),
        migrations.RunSQL(_REFUSE, "DROP FUNCTION access_keep_audit"),
        migrations.RunSQL(_ON_EVERY_OTHER_WRITE, "DROP TRIGGER access_keep_audit ON access_auditentry"),
    ]
