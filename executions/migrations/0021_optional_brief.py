"""An execution may be started without a brief."""

from django.db import migrations

import common.database.json_field


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0020_index_for_the_inbox"),
    ]

    operations = [
        migrations.AlterField(
            model_name="execution",
            name="input",
            field=common.database.json_field.JsonTextField(null=True),
        ),
    ]
