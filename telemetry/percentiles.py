"""Percentiles as a database aggregate."""

from __future__ import annotations

from django.db.models import Aggregate
from django.db.models.expressions import Combinable


class Percentile(Aggregate):
    """Discrete percentile: the smallest value that at least `fraction` (0 to 1) of all values do not exceed."""

    function = "PERCENTILE_DISC"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"

    def __init__(self, expression: str | Combinable, *, fraction: float) -> None:
        super().__init__(expression, fraction=fraction)
