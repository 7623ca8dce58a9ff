import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0008_tokens_and_sessions"), ("documents", "0009_encrypted_files")]

    operations = [
        migrations.AddField(
            model_name="file",
            name="uploaded_for",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="access.scope",
            ),
        ),
    ]
