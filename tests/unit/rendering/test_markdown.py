"""Markdown in and out: what is written is read again as the same blocks, and no text becomes markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.rendering.chapters import book_of
from documents.rendering.content.markdown_text import blocks_of, inline_of, parser
from documents.rendering.content.tree import Block, CodeBlock, Paragraph, Run, text_of
from documents.rendering.writers import markdown
from tests.factories.rendering import HOSTILE, document, execution, hostile_document

WORDS = st.text(st.sampled_from("ab1 *_`[]()<>#-+=~|\\!&.:;\n\t\"'"), max_size=40)


def written(blocks: tuple[Block, ...]) -> str:
    return "\n\n".join(markdown.render_blocks(blocks))


@given(WORDS)
def test_what_is_written_reads_as_the_same_text(text: str) -> None:
    once = blocks_of(text, headings=False)
    assert [visible(block) for block in blocks_of(written(once), headings=False)] == [visible(block) for block in once]


def visible(block: Block) -> str:
    """Return the kind of a block, and its letters."""
    return f"{type(block).__name__} {''.join(letters(block).split())}"


def letters(block: object) -> str:
    if isinstance(block, Run):
        return block.text
    if isinstance(block, tuple):
        return "".join(map(letters, block))
    if isinstance(block, str | int | None):
        return ""
    fields = getattr(block, "__dataclass_fields__", {})
    return block.text if isinstance(block, CodeBlock) else "".join(letters(getattr(block, name)) for name in fields)


@given(st.text(max_size=60))
def test_plain_text_is_never_markup(text: str) -> None:
    runs = (Run(" ".join(text.split())),) if text.split() else ()
    [paragraph] = markdown.render_blocks((Paragraph(runs),))
    found = blocks_of(paragraph, headings=False)
    assert all(isinstance(block, Paragraph) for block in found)
    assert "".join("".join(text_of(block.text) for block in found if isinstance(block, Paragraph)).split()) == "".join(
        text_of(inline_of(paragraph)).split()
    )
    assert not any(run[1:] != Run("")[1:] and not run.href for block in found for run in getattr(block, "text", ()))


def test_styles_are_kept_where_markdown_can_write_them() -> None:
    text = "a **b** *c* ***d*** ~~e~~ `f|g` [h](http://x.example/a_(b)) **i*j***"
    once = blocks_of(text)
    assert blocks_of(written(once)) == once


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_in_a_table_stays_in_its_cell(text: str) -> None:
    shown = markdown.render(book_of(document([{"a": text.replace("\n", " ")[:200], "b": 1}, {"a": "|", "b": 2}])))
    tokens = [token.type for token in parser().parse(shown)]
    assert tokens.count("tr_open") == 3
    assert tokens.count("td_open") == 4


def test_a_document_has_title_sections_and_provenance() -> None:
    source = document({"title": "Report", "summary": "Text. " * 40, "rows": [{"a": 1, "b": "x|y"}]})
    assert markdown.render(book_of(source)) == (
        f"# Report\n\n## Summary\n\n{('Text. ' * 40).strip()}\n\n## Rows\n\n| A | B |\n| --: | --- |\n| 1 | x\\|y |\n\n"
        "___\n\nVersion 3 of 4 March 2026\\\nby strong\n"
    )


def test_an_execution_lists_its_documents() -> None:
    shown = markdown.render(book_of(execution(document("One"), document("Two", name="b", title="Second"))))
    assert shown.startswith("# Harbour\n\n- **Workflow:** Delivery\n\n1. Report\n2. Second\n\n## Report\n\nOne\n\n___")


def test_a_hostile_document_has_no_html_and_no_unsafe_link() -> None:
    tokens = parser().parse(markdown.render(book_of(hostile_document())))
    inner = [child for token in tokens for child in token.children or ()]
    assert {child.attrs["href"] for child in inner if child.type == "link_open"} <= {
        "http://ok.example",
        "http://evil.example/i.png",
    }
    assert not any(child.type in {"html_inline", "image"} for child in inner)
    assert not any(token.type == "html_block" for token in tokens)


@pytest.mark.parametrize("text", ["> " * 300 + "x", "- " * 300 + "x", "[" * 30_000, "![" * 20_000])
def test_a_text_that_nests_too_deeply_is_shown_letter_by_letter(text: str) -> None:
    [block] = blocks_of(text)
    assert isinstance(block, CodeBlock)
    assert block.text == text


@pytest.mark.parametrize("text", ["[1]: http://x.example", "<!-- a -->", "&nbsp;", "\\", "***", "[x]: y"])
def test_no_text_is_lost_by_markdown(text: str) -> None:
    assert blocks_of(text)
