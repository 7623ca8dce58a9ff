"""Which documents are stale, and why."""

from __future__ import annotations

from uuid import UUID

from documents.staleness import Head, Input, ReasonKind, find_stale

A, B, C, D = (UUID(int=number) for number in range(1, 5))
CHANGED, STALE, UNACCEPTED = ReasonKind.INPUT_CHANGED, ReasonKind.INPUT_STALE, ReasonKind.NOT_ACCEPTED


def head(key: UUID, version: int, *inputs: tuple[UUID, int]) -> Head:
    return Head(
        id=key,
        type=f"t{key.int}",
        version=version,
        inputs=tuple(Input(document_id=each, version=number) for each, number in inputs),
    )


def kinds(
    *heads: Head, hashes: dict[tuple[UUID, int], str], unaccepted: tuple[UUID, ...] = ()
) -> dict[UUID, list[tuple[ReasonKind, UUID]]]:
    found = find_stale(heads, hashes, unaccepted=unaccepted)
    return {key: [(each.kind, each.document_id) for each in reasons] for key, reasons in found.items()}


CHAIN = (head(A, 1), head(B, 1, (A, 1)), head(C, 1, (B, 1)), head(D, 1, (C, 1)))


def test_what_was_made_from_present_versions_is_current() -> None:
    assert kinds(*CHAIN, hashes={}) == {}


def test_staleness_travels_to_any_depth() -> None:
    heads = (CHAIN[0], head(B, 2, (A, 1)), *CHAIN[2:])
    found = kinds(*heads, hashes={(B, 1): "old", (B, 2): "new"})
    assert found == {C: [(CHANGED, B)], D: [(STALE, C)]}


def test_a_reason_names_both_versions_of_the_input() -> None:
    [reason] = find_stale([head(A, 3), head(B, 1, (A, 1))], {(A, 1): "old", (A, 3): "new"})[B]
    assert (reason.type, reason.from_version, reason.to_version) == ("t1", 1, 3)


def test_restored_content_makes_nothing_stale() -> None:
    heads = (CHAIN[0], head(B, 3, (A, 1)), *CHAIN[2:])
    assert kinds(*heads, hashes={(B, 1): "same", (B, 3): "same"}) == {}


def test_an_unknown_hash_counts_as_another_content() -> None:
    assert kinds(head(A, 2), head(B, 1, (A, 1)), hashes={(A, 2): "new"}) == {B: [(CHANGED, A)]}


def test_a_document_without_acceptance_is_stale_with_what_was_made_from_it() -> None:
    found = kinds(*CHAIN, hashes={}, unaccepted=(B,))
    assert found == {B: [(UNACCEPTED, B)], C: [(STALE, B)], D: [(STALE, C)]}


def test_an_input_can_be_changed_and_stale() -> None:
    heads = (head(A, 2), head(B, 2, (A, 1)), head(C, 1, (B, 1)))
    found = kinds(*heads, hashes={(A, 1): "1", (A, 2): "2", (B, 1): "1", (B, 2): "2"})
    assert found == {B: [(CHANGED, A)], C: [(CHANGED, B), (STALE, B)]}


def test_an_input_that_no_longer_exists_gives_no_reason() -> None:
    assert kinds(head(B, 1, (A, 1)), hashes={}) == {}


def test_a_cycle_ends() -> None:
    heads = (head(A, 2, (B, 1)), head(B, 1, (A, 1)))
    assert kinds(*heads, hashes={(A, 1): "same", (A, 2): "same"}) == {}
    found = kinds(*heads, hashes={(A, 1): "old", (A, 2): "new"})
    assert found == {B: [(CHANGED, A), (STALE, A)], A: [(STALE, B)]}
