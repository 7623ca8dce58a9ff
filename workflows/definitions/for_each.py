"""The `for_each` declaration: a step that runs once for each item of a collection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from common.limits import limits
from workflows.definitions.budget import MAX_INTEGER

MAX_DEPTH = 3  # nested collections

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
#: The collections that a step iterates over, outermost first, as (document, items); () for a step that runs once.
Chain = tuple[tuple[str, str], ...]


class ForEach(BaseModel):
    """The collection that a step iterates over. It runs once for each item, in a scope of that item."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    document: Slug = Field(description="Type of the document with the collection; a step must produce it.")
    items: str = Field(
        pattern=r"^(/([^/~]|~[01])+)+$", max_length=200, description="JSON Pointer to the array in the document."
    )
    key: str = Field(
        min_length=1, max_length=63, description="Field with an item's permanent name: a slug of at most 40 characters."
    )
    scope_type: Slug = Field(description="Type of the scope of each item, such as `epic`.")
    on_item_failure: Literal["fail", "skip"] = Field(
        default="fail", description="fail: the execution fails with the item; skip: it continues without the item."
    )
    limit: int = Field(
        strict=True,
        default=1_000,
        ge=1,
        le=MAX_INTEGER,
        description="Max items of the collection, up to the server's MAX_COLLECTION_ITEMS.",
    )

    @property
    def max_items(self) -> int:
        """Max items of the collection on this server."""
        return min(self.limit, limits().collection_items)
