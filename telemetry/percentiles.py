"""Percentiles that the database counts out."""

from __future__ import annotations

from django.db.models import Aggregate
from django.db.models.expressions import Combinable


class Percentile(Aggregate):
    """The smallest value that at least `fraction` (0 to 1) of all values do not exceed; one that really occurs."""

    function = "PERCENTILE_DISC"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"

    def __init__(self, expression: str | Combinable, *, fraction: float) -> None:
        super().__init__(expression, fraction=fraction)
