"""What walks over documents need: the table, its orders, and the words of a search."""

from __future__ import annotations

from dataclasses import dataclass

from common.database.walks import Condition, Found, Match, Table, Wanted, find_among

UPDATED, CREATED = "updated_at", "created_at"

#: The words stay out of line until they are compared.
DOCUMENTS = Table(
    name="documents_document",
    columns=(
        "id, root_id, scope_id, type, status, workflow_id, author_name, stale, created_at, updated_at, erased_at, "
        "search"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a search, as a query of PostgreSQL."""

    language: str
    text: str

    @property
    def sql(self) -> Condition:
        """The query as an expression."""
        return Condition("websearch_to_tsquery(%s::regconfig, %s)", (self.language, self.text))

    @property
    def match(self) -> Match:
        """The condition for documents with the words, and their rank."""
        query = self.sql
        return Match(
            hit=Condition(f"search @@ {query.sql}", query.values),
            rank=Condition(f"ts_rank_cd(found.search, {query.sql})", query.values),
            columns="search",
        )


def find_by_words(wanted: Wanted) -> list[Found]:
    """Find the matches by the text index, which reads all documents with the words; call it within a transaction."""
    if wanted.match is None:
        raise ValueError("the list has no words")
    return find_among(wanted.match.hit, wanted)
