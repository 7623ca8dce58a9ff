"""The number of rows of a table that statements read, as PostgreSQL counts them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def rows_read(table: str) -> Iterator[list[int]]:
    """Provide the number of rows that the statements of the block read, once it has ended.

    The block has to be within one transaction: PostgreSQL adds up what a connection reads, and begins anew between two
    transactions whenever it has told its statistics.
    """
    assert connection.in_atomic_block
    read: list[int] = []
    before = _rows_read_so_far(table)
    yield read
    read.append(_rows_read_so_far(table) - before)


def _rows_read_so_far(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = %s", [table]
        )
        return int(cursor.fetchone()[0])
