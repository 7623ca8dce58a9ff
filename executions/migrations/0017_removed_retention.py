from django.db import migrations, models


class Migration(migrations.Migration):
    """The row of a retention that is removed stays, with its version."""

    dependencies = [
        ("executions", "0016_list_indexes"),
    ]

    operations = [
        migrations.AlterField(model_name="scoperetention", name="days", field=models.PositiveIntegerField(null=True)),
    ]
