from django.db import migrations, models

#: Until now staff alone could enter addresses.
FILL = "UPDATE access_user SET email_verified_at = now() WHERE email <> ''"


class Migration(migrations.Migration):
    dependencies = [("access", "0002_scope_names")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="email_verified_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When staff entered the address, or the identity provider verified it. "
                "Empty: it does not count.",
                null=True,
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
