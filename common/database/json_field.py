"""JSON that comes back as it was written."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.types.json import Json


class JsonTextField(models.JSONField):
    """A JSON column that keeps the order of names.

    PostgreSQL's `jsonb` sorts names by length; readers of a document, and models that are shown a schema, need the
    order that its author chose. The price: no comparison and no containment in queries, so it is for content only.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the column's type."""
        return "json"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Return the value as psycopg takes it; None is NULL."""
        return None if value is None else Json(value, dumps=json.dumps)

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper) -> Any:
        """Return the value; psycopg has read it already."""
        return value
