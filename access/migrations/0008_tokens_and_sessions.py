import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

#: A version 7 UUID: 48 bits of time in milliseconds, the version, and random bits.
_UUID7 = """
encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
  substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
  52, 1), 53, 1), 'hex')::uuid"""
#: The defaults are for existing tokens, for the admin, and for processes of an older version: all rights.
_ADD_COLUMNS = f"""
ALTER TABLE knox_authtoken
  ADD COLUMN id uuid NOT NULL DEFAULT {_UUID7},
  ADD COLUMN name varchar(100) NOT NULL DEFAULT '',
  ADD COLUMN rights varchar(20)[] NOT NULL DEFAULT '{{read,answer,operate,author,manage}}',
  ADD COLUMN scope_id uuid REFERENCES access_scope (id) ON DELETE CASCADE,
  ADD COLUMN last_used_at timestamp with time zone,
  ADD CONSTRAINT token_id UNIQUE (id),
  ADD CONSTRAINT token_rights_known
    CHECK (rights <@ '{{read,answer,operate,author,manage}}'::varchar(20)[] AND cardinality(rights) > 0),
  ADD CONSTRAINT token_of_scope_is_no_author CHECK (scope_id IS NULL OR NOT 'author' = ANY (rights))
"""
_DROP_COLUMNS = """
ALTER TABLE knox_authtoken
  DROP COLUMN id, DROP COLUMN name, DROP COLUMN rights, DROP COLUMN scope_id, DROP COLUMN last_used_at
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0007_author"), ("knox", "0009_extend_authtoken_field")]

    operations = [
        migrations.RunSQL(_ADD_COLUMNS, _DROP_COLUMNS),
        migrations.CreateModel(
            name="Token",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("digest", models.CharField(max_length=128, unique=True)),
                ("token_key", models.CharField(max_length=25)),
                ("name", models.CharField(max_length=100)),
                (
                    "rights",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), size=None),
                ),
                ("created", models.DateTimeField()),
                ("expiry", models.DateTimeField(null=True)),
                ("last_used_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "knox_authtoken", "managed": False},
        ),
        migrations.AddField(
            model_name="sessionname",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="sessionname",
            name="created_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
    ]
