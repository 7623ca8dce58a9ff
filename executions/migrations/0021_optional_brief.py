"""An execution may be started without a brief."""

from django.db import migrations

import access.json_text


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0020_index_for_the_inbox"),
    ]

    operations = [
        migrations.AlterField(
            model_name="execution",
            name="input",
            field=access.json_text.JsonTextField(null=True),
        ),
    ]
