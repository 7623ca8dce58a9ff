from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0006_external_accounts")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="is_author",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="May publish and retire workflows, and try candidates.",
                verbose_name="author",
            ),
        ),
    ]
