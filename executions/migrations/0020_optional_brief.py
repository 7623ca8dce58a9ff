"""An execution may be started without a brief."""

from django.db import migrations

import access.json_text


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0019_without_the_indexes_before"),
    ]

    operations = [
        migrations.AlterField(
            model_name="execution",
            name="input",
            field=access.json_text.JsonTextField(null=True),
        ),
    ]
