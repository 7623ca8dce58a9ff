"""Templates of workflows: pointers and `each`, errors with lines, values that never become markup."""

from __future__ import annotations

from typing import Any

import pytest

from documents.rendering.chapters import book_of
from documents.rendering.content.template import check, render_template
from documents.rendering.content.tree import Blocks, Paragraph
from documents.rendering.errors import RenderingLimitExceeded, TemplateError
from documents.rendering.writers import markdown
from tests.factories.rendering import HOSTILE, document
from tests.unit.rendering.test_blocks import lines_of

CONTENT = {
    "title": "Epics",
    "epics": [
        {"id": "E1", "title": "Find *tools*", "goal": "One.\n\n- a\n- b", "needs": [], "owner": {"name": "Kim"}},
        {"id": "E2", "title": "Lend | return", "goal": "Two.", "needs": ["E1", "E3"], "url": "https://x.example/2"},
    ],
    "total": 2,
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string"},
        "total": {"type": "integer"},
        "epics": {"type": "array", "items": {"$ref": "#/$defs/epic"}},
        "free": {"type": "object"},
        "either": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"properties": {"a": {"type": "string"}}}}]
        },
    },
    "$defs": {
        "epic": {
            "type": "object",
            "properties": {
                **{name: {"type": "string"} for name in ("id", "title", "goal", "url")},
                "needs": {"type": "array", "items": {"type": "string"}},
                "owner": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
        }
    },
}


def shown(template: str, content: Any = CONTENT) -> list[str]:
    blocks: Blocks = render_template(template, content, SCHEMA)
    return [line for block in blocks for line in lines_of(block)]


def test_values_and_repetitions() -> None:
    template = """# {{ /title }} ({{ /total }})

{{#each /epics}}
## {{ id }} {{ title }}

{{ goal }}

Needs: {{ needs }}. Owner: {{ owner/name }}. {{#each needs}}[{{ . }}]{{/each}}
{{/each}}

Second: {{ /epics/1/title }}
"""
    assert check(template, SCHEMA) == []
    assert shown(template) == [
        "# Epics (2)",
        *("## E1 Find tools", "One.", "- a", "- b", "Needs: —. Owner: Kim."),
        *("## E2 Lend | return", "Two.", "Needs: E1, E3. Owner: —. [E1][E3]"),
        "Second: Lend | return",
    ]


def test_tables_lists_code_and_links_take_values() -> None:
    template = """| Id | Title |
|---|---|
{{#each /epics}}
| {{ id }} | {{ title }} |
{{/each}}

{{#each /epics}}
- **{{ title }}** `{{ id }}` [more]({{ url }})
{{/each}}

```
{{ /epics/1/title }}
```
"""
    assert shown(template) == [
        *("Id | Title", "E1 | Find tools", "E2 | Lend | return"),
        *("- Find tools E1 more (—)", "- Lend | return E2 more"),
        "`Lend | return",
    ]


def test_an_object_or_a_list_of_objects_alone_brings_its_blocks() -> None:
    assert shown("# All\n\n{{ /epics/0/owner }}\n\n{{ /epics }}")[:3] == ["# All", "Name = Kim", "## E1: Find tools"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_is_no_markup_of_the_template(text: str) -> None:
    template = "# {{ /t }}\n\n| a | b |\n|---|---|\n| {{ /t }} | {{ /t }} |\n\n- {{ /t }} x\n\n`{{ /t }}`\n"
    kinds = [type(block).__name__ for block in render_template(template, {"t": text}, None)]
    assert kinds == ["Heading", "Table", "ListBlock", "Paragraph"]


@pytest.mark.parametrize(
    ("template", "errors"),
    [
        ("{{ /titel }}", ["line 1: /titel: the schema has no such field."]),
        ("a\n\n{{ /epics/0/goal/x }}", ["line 3: /epics/0/goal/x: the schema has no such field."]),
        ("{{#each /title}}{{/each}}", ["line 1: /title: {{#each}} needs a list."]),
        ("{{#each /epics}}\n{{ title }}{{ name }}\n{{/each}}", ["line 2: name: the schema has no such field."]),
        ("a\n{{#each /epics}}\n", ["line 2: {{#each}} has no {{/each}}."]),
        ("\n{{/each}}", ["line 2: {{/each}} has no {{#each}}."]),
        ("a {{ b", ["line 1: {{ has no }}."]),
        ("\n{{ a b }}", ["line 2: {{ a b }} is no pointer such as /epics/0/title, title or a dot."]),
        ("{{#if /x}}{{/if}}", ["line 1: {{ #if /x }} is no pointer such as /epics/0/title, title or a dot."]),
        ("{{#each /epics}}" * 6 + "{{/each}}" * 6, ["line 1: At most 5 {{#each}} can be within each other."]),
        ("\n- {{ /epics/0 }}", ["line 2: /epics/0: an object needs a paragraph of its own."]),
        ("a\n\n| x |\n|---|\n| {{ /epics }} |", ["line 5: /epics: an object needs a paragraph of its own."]),
        (
            "{{#each /epics}}{{ owner }}, {{ needs }}{{/each}}",
            ["line 1: owner: an object needs a paragraph of its own."],
        ),
        ("x\n\ue000", ["line 2: A template cannot have U+E000."]),
        ("x\n&#xE000;7&#xE001;", ["line 2: A template cannot have &#xE000;."]),
        ("&#0057345;", ["line 1: A template cannot have &#0057345;."]),
        ("[x](/%ee%80%800%EE%80%81)", ["line 1: A template cannot have %ee%80%80."]),
        ("x" * 70_000, ["A template has at most 65,536 characters."]),
        ("{{ /free/anything }}{{ /either/0/a }}{{#each /either}}{{ a }}{{/each}}", []),
    ],
)
def test_errors_have_lines(template: str, errors: list[str]) -> None:
    assert [str(error) for error in check(template, SCHEMA)] == errors


def test_without_a_schema_each_pointer_may_exist() -> None:
    assert check("{{ /a/b/0 }}{{#each /c}}{{ d }}{{/each}}", None) == []


def test_marks_that_repetitions_put_together_are_no_values() -> None:
    split = "&#xE0{{#each /none}}{{/each}}00;"
    close = split.replace("00;", "01;")
    for number in ("7", "9" * 5_000):
        template = f"x {split}{number}{close} {{{{ /total }}}}"
        assert check(template, None) == []
        assert shown(template)[0].endswith(" 2")


def test_values_in_addresses_add_no_parts() -> None:
    content = {"v": "a&b #c/d", "url": "https://x.example/?q=1&r=2#s"}
    template = "[go](https://x.example/?q=a%26b&r={{ /v }}) [to]({{ /url }}) ![i]({{ /url }})"
    [block] = render_template(template, content, None)
    assert isinstance(block, Paragraph)
    assert [(run.text, run.href) for run in block.text if run.href] == [
        ("go", "https://x.example/?q=a%26b&r=a%26b%20%23c/d"),
        ("to", content["url"]),
        (content["url"], content["url"]),
    ]


def test_what_the_document_lacks_is_a_dash() -> None:
    assert shown("{{ /none }}\n\n{{ /epics/9/title }} x\n\n{{#each /none}}y{{/each}}") == ["—", "— x"]


LISTS = {"l": [{"l": [{"l": list(range(100))} for _ in range(100)]} for _ in range(100)]}
TEXTS = {"l": list(range(200)), "t": "x" * 40_000}


@pytest.mark.parametrize(
    ("template", "content"),
    [
        ("{{#each /l}}{{#each l}}{{#each l}}{{ . }} {{/each}}{{/each}}{{/each}}", LISTS),  # its own text
        ("{{#each /l}}{{ /t }}\n\n{{/each}}", TEXTS),
    ],
)
def test_the_result_is_bounded(template: str, content: Any) -> None:
    with pytest.raises(RenderingLimitExceeded):
        render_template(template, content, None)


@pytest.mark.parametrize(
    "template",
    [
        "{{#each /l}}{{#each l}}{{#each l}}{{/each}}{{/each}}{{/each}}",
        "{{#each /l}}{{ /t" + "/t" * 500 + " }}{{/each}}",
    ],
)
def test_the_work_is_bounded_also_where_nothing_is_written(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("documents.rendering.content.template._MAX_TURNS", 2_000)
    with pytest.raises(RenderingLimitExceeded):
        render_template(template, LISTS, None)


def test_a_faulty_template_is_no_document() -> None:
    with pytest.raises(TemplateError, match="line 2"):
        render_template("\n{{ }}", {}, None)
    with pytest.raises(TemplateError, match="an object needs a paragraph of its own"):
        render_template("x {{ /epics/0 }}", CONTENT, None)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("x {{ /epics/0 }}", "/epics/0: an object needs a paragraph of its own."),
        (
            "{{#each /epics}}{{ /title }}" + "x" * 60_000 + "{{/each}}",
            "The template makes a document that is too long.",
        ),
    ],
)
def test_a_document_that_its_template_cannot_show_has_the_usual_form(template: str, reason: str) -> None:
    content = {"title": "Epics", "epics": [{"id": "E1"}] * 20}
    [usual] = book_of(document(content, SCHEMA)).chapters
    [chapter] = book_of(document(content, SCHEMA, template=template)).chapters
    assert (chapter.title, chapter.blocks) == (usual.title, usual.blocks)
    assert chapter.provenance == (*usual.provenance, f"The template of the workflow could not be used: {reason}")


def test_the_only_first_heading_is_the_title() -> None:
    source = document(CONTENT, SCHEMA, template="# Plan: {{ /title }}\n\n## Part\n\n{{ /total }}", provenance=())
    assert markdown.render(book_of(source)) == "# Plan: Epics\n\n## Part\n\n2\n"
