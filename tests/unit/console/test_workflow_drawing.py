"""The drawing of a workflow: an arrow only where no longer way leads, and boxes that do not overlap."""

from __future__ import annotations

from console.workflows.drawing import draw
from console.workflows.schema_rows import rows_of
from tests.factories.workflows import definition, step


def test_a_drawing_has_no_arrow_beside_a_longer_way() -> None:
    steps = [
        step(1),
        step(2, inputs=["paper-1"]),
        step(3, inputs=["paper-1"]),
        step(4, inputs=["paper-1", "paper-2", "paper-3"]),
    ]
    drawing = draw(definition(steps=steps))
    assert len(drawing.arrows) == 4  # and none from the first step to the last one
    places = [(box.x, box.y) for box in drawing.boxes]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert len({*places}) == 4
    assert all(x + drawing.box_width <= drawing.width and y + drawing.box_height <= drawing.height for x, y in places)
    assert drawing.lines[3].reads == ("paper-1", "paper-2", "paper-3")


def test_the_rows_of_a_schema_are_bounded() -> None:
    schema: dict[str, object] = {"type": "object", "properties": {f"f{i}": {"enum": [1, "a"]} for i in range(1_000)}}
    found = rows_of({"properties": {"inner": {"type": "array", "items": schema}}, "required": ["inner"]})
    assert (found[0].name, found[0].type, found[0].is_required) == ("inner", "list of object", True)
    assert (found[1].depth, found[1].type, found[1].is_required) == (1, "one of 1, a", False)
    assert len(found) == 150
    assert rows_of({"properties": {"a": True}, "$ref": "#"})[0].type == "any value"
    assert rows_of(True) == []
