from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0008_tokens_and_sessions")]

    operations = [
        migrations.AddField(
            model_name="scoperole",
            name="by_hand",
            field=models.CharField(
                blank=True,
                choices=[("viewer", "Viewer"), ("reviewer", "Reviewer"), ("operator", "Operator"), ("owner", "Owner")],
                db_default="",
                default="",
                max_length=20,
            ),
        ),
    ]
