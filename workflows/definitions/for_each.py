"""Steps that run once for each item of a collection: how that is said, and what can be wrong with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from common.limits import limits
from workflows.definitions.budget import MOST

MAX_DEPTH = 3  # collections within collections

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
#: The collections that a step goes over, outermost first, each as (document, items); () for a step that runs once.
Chain = tuple[tuple[str, str], ...]


class ForEach(BaseModel):
    """The collection over which a step runs: once for each item, in a scope of the item's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    document: Slug = Field(description="Type of the document that holds the collection; a step makes it.")
    items: str = Field(
        pattern=r"^(/([^/~]|~[01])+)+$", max_length=200, description="JSON Pointer to the array in that document."
    )
    key: str = Field(
        min_length=1, max_length=63, description="Field of an item that names it for good: a slug, at most 40 long."
    )
    scope_type: Slug = Field(description="Kind of scope that each item gets, such as `epic`.")
    on_item_failure: Literal["fail", "skip"] = Field(
        default="fail", description="fail: the execution fails with the item; skip: it goes on without it."
    )
    limit: int = Field(
        strict=True,
        default=1_000,
        ge=1,
        le=MOST,
        description="Most items that the collection may have; MAX_COLLECTION_ITEMS bounds it.",
    )

    @property
    def most_items(self) -> int:
        """Most items that the collection may have on this server."""
        return min(self.limit, limits().collection_items)
