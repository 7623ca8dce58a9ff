from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [
        migrations.AddIndex("scope", models.Index(fields=["type", "key"], name="scope_by_type_and_key")),
        migrations.AddIndex("scope", models.Index(fields=["key"], name="scope_by_key")),
    ]
