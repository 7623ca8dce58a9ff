"""The graph of a workflow as a drawing: places of steps and paths of arrows. Templates draw it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.graph import Edge, Graph, Node, graph_of

_WIDTH, _HEIGHT = 196, 66  # of a step
_ACROSS, _DOWN = 52, 18  # between steps
_MARGIN = 6
_NAME, _LINE = 22, 31  # characters that have room in a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A step in the drawing."""

    step: str  # its id
    x: int
    y: int
    name: str
    role: str
    marks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """An arrow from a step to one that needs its document."""

    path: str
    is_for_each: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A step in the list beside the drawing."""

    name: str
    role: str
    reads: tuple[str, ...]
    makes: str
    marks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The drawing, and the list that says the same in words."""

    width: int
    height: int
    boxes: list[Box]
    arrows: list[Arrow]
    lines: list[Line]
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


def draw(definition: WorkflowDefinition) -> Drawing:
    """Return the drawing of a definition: levels from left to right, arrows only where no other way leads."""
    graph = graph_of(definition)
    needs: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        if edge.from_step is not None:
            needs[edge.to_step].append(edge.from_step)
    places = _places(graph, needs)
    shown = _without_detours(graph, needs)
    roles = {name: role.name for name, role in definition.roles.items()}
    nodes = {node.id: node for node in graph.nodes}
    highest = max(map(len, graph.levels))
    return Drawing(
        width=2 * _MARGIN + len(graph.levels) * (_WIDTH + _ACROSS) - _ACROSS,
        height=2 * _MARGIN + highest * (_HEIGHT + _DOWN) - _DOWN,
        boxes=[_box(nodes[step], place, roles) for step, place in places.items()],
        arrows=[_arrow(edge, places) for edge in shown],
        lines=_lines(definition, graph, roles),
    )


def _places(graph: Graph, needs: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Return the corner of each step. In a level, steps stand in the order of the steps that they need."""
    highest = max(map(len, graph.levels))
    heights: dict[str, float] = {}
    places: dict[str, tuple[int, int]] = {}
    for number, level in enumerate(graph.levels):
        ordered = sorted(level, key=lambda step: _mean([heights[each] for each in needs[step]]))
        for row, step in enumerate(ordered):
            heights[step] = row + (highest - len(level)) / 2
            top = _MARGIN + round(heights[step] * (_HEIGHT + _DOWN))
            places[step] = (_MARGIN + number * (_WIDTH + _ACROSS), top)
    return places


def _mean(heights: Sequence[float]) -> float:
    return sum(heights) / len(heights) if heights else 0


def _without_detours(graph: Graph, needs: Mapping[str, Sequence[str]]) -> list[Edge]:
    """Return one edge for each pair of steps that no longer way connects."""
    before: dict[str, set[str]] = {}
    indirect: dict[str, set[str]] = {}  # steps to which a way of two or more edges leads back
    for level in graph.levels:
        for step in level:
            indirect[step] = set().union(*(before[each] for each in needs[step]))
            before[step] = indirect[step].union(needs[step])
    pairs = {
        (edge.from_step, edge.to_step): edge
        for edge in sorted(graph.edges, key=lambda each: each.for_each)
        if edge.from_step is not None and edge.from_step not in indirect[edge.to_step]
    }
    return list(pairs.values())


def _box(node: Node, place: tuple[int, int], roles: Mapping[str, str]) -> Box:
    x, y = place
    return Box(
        step=node.id,
        x=x,
        y=y,
        name=_cut(node.name, _NAME),
        role=_cut(roles[node.role], _LINE),
        marks=_cut(" · ".join(_marks(node, decides=gettext("decision"))), _LINE),
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _marks(node: Node, *, decides: str) -> list[str]:
    found = {
        gettext("per item of %(documents)s") % {"documents": node.for_each}: node.for_each is not None,
        gettext("asks"): node.asks,
        gettext("reviewed"): node.reviewed,
        decides: node.accepted,
    }
    return [mark for mark, applies in found.items() if applies]


def _arrow(edge: Edge, places: Mapping[str, tuple[int, int]]) -> Arrow:
    (left, top), (right, bottom) = places[str(edge.from_step)], places[edge.to_step]
    x, y, end_x, end_y = left + _WIDTH, top + _HEIGHT // 2, right - 8, bottom + _HEIGHT // 2
    bend = _ACROSS * 2 // 3
    return Arrow(
        path=f"M{x} {y}C{x + bend} {y} {end_x - bend} {end_y} {end_x} {end_y}",
        is_for_each=edge.for_each,
    )


def _lines(definition: WorkflowDefinition, graph: Graph, roles: Mapping[str, str]) -> list[Line]:
    """Return the steps in the order in which they can run."""
    ordered = sorted(graph.nodes, key=lambda node: node.level)
    return [
        Line(
            name=node.name,
            role=roles[node.role],
            reads=definition.reads(definition.step(node.id)),
            makes=node.produces,
            marks=", ".join(_marks(node, decides=gettext("a person decides"))),
        )
        for node in ordered
    ]
