"""A model field for JSON that keeps the order of names."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.types.json import Json


class JsonTextField(models.JSONField):
    """A `json` column that keeps the order of names.

    PostgreSQL's `jsonb` sorts names by length. Readers of a document, and models that get a schema, need the author's
    order. The drawback: queries support neither comparison nor containment, so use it for content only.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the column's type."""
        return "json"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Return the value wrapped for psycopg; None is NULL."""
        return None if value is None else Json(value, dumps=json.dumps)

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper) -> Any:
        """Return the value; psycopg has parsed it already."""
        return value
