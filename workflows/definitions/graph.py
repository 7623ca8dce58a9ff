"""The graph of a workflow: its steps, by level, and the documents that lead from one to another."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.definitions.definition import StepDefinition, WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step."""

    id: str
    name: str
    role: str
    produces: str
    model: str
    level: int
    for_each: str | None  # the document with the collection
    asks: bool
    reviewed: bool
    accepted: bool  # a person decides about the document


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A document that a step reads. Without `from_step` the scope has it before the start."""

    from_step: str | None
    to_step: str
    document: str
    for_each: bool  # the step runs once for each item of a collection in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The graph of a workflow. Steps of one level do not depend on each other."""

    nodes: list[Node]
    levels: list[list[str]]
    edges: list[Edge]


def graph_of(definition: WorkflowDefinition) -> Graph:
    """Return the graph of a definition; nodes are in the order of the definition."""
    levels: list[list[str]] = [[] for _ in range(1 + max(definition.levels.values()))]
    for step in definition.steps:
        levels[definition.levels[step.id]].append(step.id)
    return Graph(
        nodes=[_node(definition, step) for step in definition.steps],
        levels=levels,
        edges=[edge for step in definition.steps for edge in _edges_to(definition, step)],
    )


def _node(definition: WorkflowDefinition, step: StepDefinition) -> Node:
    return Node(
        id=step.id,
        name=step.name,
        role=step.role,
        produces=step.produces,
        model=step.model,
        level=definition.levels[step.id],
        for_each=None if step.for_each is None else step.for_each.document,
        asks=step.clarification is not None,
        reviewed=step.review is not None,
        accepted=step.acceptance is not None,
    )


def _edges_to(definition: WorkflowDefinition, step: StepDefinition) -> list[Edge]:
    collections = {document for document, _ in definition.for_each_chain[step.id]}
    return [
        Edge(
            from_step=definition.producers[kind].id if kind in definition.producers else None,
            to_step=step.id,
            document=kind,
            for_each=kind in collections,
        )
        for kind in definition.reads(step)
    ]
