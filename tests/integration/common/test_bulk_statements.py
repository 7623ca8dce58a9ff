"""Several statements in one network round trip."""

from __future__ import annotations

import pytest
from django.db import transaction

from common.database import bulk

pytestmark = pytest.mark.django_db(transaction=True)

FAR_ABOVE_A_SOCKETS_BUFFER = 8 * 1024 * 1024  # characters


def test_what_is_longer_than_a_sockets_buffer_is_sent_to_its_end() -> None:
    for _ in range(5):
        with transaction.atomic(), bulk.pipeline():
            asked = bulk.execute("SELECT length(%s::text)", ["x" * FAR_ABOVE_A_SOCKETS_BUFFER])
        assert asked.fetchall() == [(FAR_ABOVE_A_SOCKETS_BUFFER,)]


def test_an_answer_within_can_be_read_after_a_long_statement() -> None:
    with transaction.atomic(), bulk.pipeline():
        long = bulk.execute("SELECT length(%s::text)", ["x" * FAR_ABOVE_A_SOCKETS_BUFFER])
        assert bulk.execute("SELECT 1", []).fetchall() == [(1,)]
        assert long.fetchall() == [(FAR_ABOVE_A_SOCKETS_BUFFER,)]
