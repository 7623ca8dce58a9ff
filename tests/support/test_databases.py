"""After a test that commits, the tables are as the migrations left them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.test import TransactionTestCase

from access.user import User
from executions.models import Execution
from tests.support.databases import empty_tables, filled_tables


@pytest.mark.django_db(transaction=True)
def test_rows_go_and_what_the_migrations_wrote_stays() -> None:
    permissions, types = Permission.objects.count(), ContentType.objects.count()
    assert permissions > 0
    assert types > 0
    user = User.objects.create(username="ada")
    user.groups.add(Group.objects.create(name="readers"))
    user.user_permissions.add(Permission.objects.earliest("pk"))
    assert {"access_user", "auth_group", "access_user_groups", "access_user_user_permissions"} <= set(filled_tables())
    empty_tables(TransactionTestCase())
    assert filled_tables() == {}
    assert (Permission.objects.count(), ContentType.objects.count()) == (permissions, types)
    assert User.objects.count() == Execution.objects.count() == 0
    empty_tables(TransactionTestCase())  # with nothing to do, it does nothing
