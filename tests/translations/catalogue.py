"""The catalogues of the console: which texts there are, and what is made of a catalogue.

`make translations` brings each `django.po` up to date, and makes the files that the server and the
browser read.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

CONSOLE = Path(__file__).resolve().parents[2] / "console"
LANGUAGES = [path.name for path in sorted((CONSOLE / "locale").iterdir())]
#: Modules with texts of the console beside it.
_MORE = ("access/oidc/faults.py", "common/names.py", "documents/comparison/html.py")
_BELOW = ("access", "common", "documents", "executions", "workflows")  # whose sentences the console shows
_KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), None),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
_HEADER = """msgid ""
msgstr ""
"Language: {}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {}\\n"

"""
_IN_STRINGS = {"parse_template_string": True}
_ALWAYS = datetime(2026, 12, 1, tzinfo=UTC)  # in the header of compiled files, which are the same on every day

Text = tuple[str | None, str | tuple[str, ...]]  # context, and the text; two for a singular and a plural


def texts() -> set[Text]:
    """Return the texts of Python modules, templates and scripts, and the sentences of errors."""
    return {*_of_modules(), *_of_errors(), *_of_templates(), *((None, each) for each in texts_of_scripts())}


def texts_of_scripts() -> set[str]:
    """Return the texts of scripts."""
    found = set()
    for path in (CONSOLE / "static" / "console").glob("*.js"):
        for _, message, _, _ in extract("javascript", BytesIO(path.read_bytes()), {"say": None}, options=_IN_STRINGS):
            assert isinstance(message, str)
            found.add(message)
    return found


def _of_modules() -> Iterator[Text]:
    for path in [*CONSOLE.rglob("*.py"), *(CONSOLE.parent / name for name in _MORE)]:
        yield from _found(path.read_bytes())


def _of_errors() -> Iterator[Text]:
    """Yield the default texts of errors: `sentence` of their classes."""
    for path in (path for name in _BELOW for path in (CONSOLE.parent / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Assign(targets=[ast.Name("sentence")], value=ast.Constant(str(sentence))) if sentence:
                    yield None, sentence


def _of_templates() -> Iterator[Text]:
    for path in CONSOLE.rglob("templates/**/*.html"):
        source = templatize(path.read_text(), origin=str(path))
        yield from _found("\n".join(line.strip() for line in source.splitlines()).encode())


def _found(source: bytes) -> Iterator[Text]:
    for _, message, _, context in extract("python", BytesIO(source), _KEYWORDS):
        yield context, message if isinstance(message, str) else tuple(message[:2])


def folder(language: str) -> Path:
    """Return where a language has its catalogue."""
    return CONSOLE / "locale" / language / "LC_MESSAGES"


def catalogue(language: str) -> Catalog:
    """Return a catalogue as it is stored."""
    with (folder(language) / "django.po").open("rb") as file:
        found = read_po(file, locale=language)
    found.creation_date = found.revision_date = _ALWAYS
    return found


def updated(old: Catalog) -> bytes:
    """Return a catalogue that has exactly the texts that there are, with the translations that are known."""
    new = Catalog(locale=old.locale)
    for context, message in texts():
        known = old.get(message if isinstance(message, str) else message[0], context)
        new.add(message, known.string if known and type(known.id) is type(message) else None, context=context)
    written = BytesIO()
    write_po(written, new, omit_header=True, sort_output=True, width=120)
    return _HEADER.format(old.locale, old.plural_forms).encode() + written.getvalue()


def compiled(found: Catalog) -> bytes:
    """Return the file that the server reads."""
    written = BytesIO()
    write_mo(written, found)
    return written.getvalue()


def script(found: Catalog) -> str:
    """Return the module with the texts of scripts."""
    known = {each: message.string for each in sorted(texts_of_scripts()) if (message := found.get(each))}
    return f'import {{ learn }} from "../texts.js";\n\nlearn({json.dumps(known, indent=2, ensure_ascii=False)});\n'


def pairs(message: Message) -> list[tuple[str, str]]:
    """Return each English text of a message with its translation."""
    if isinstance(message.id, str):
        return [(message.id, str(message.string or ""))]
    singular, plural = message.id[0], message.id[-1]
    return [(plural if number else singular, each) for number, each in enumerate(message.string or ["", ""])]


def main() -> None:
    """Update and compile all catalogues, and tell how many texts have no translation."""
    if not settings.configured:
        settings.configure()
    for language in LANGUAGES:
        path = folder(language) / "django.po"
        path.write_bytes(updated(catalogue(language)))
        found = catalogue(language)
        path.with_suffix(".mo").write_bytes(compiled(found))
        (CONSOLE / "static" / "console" / "languages" / f"{language}.js").write_text(script(found))
        missing = sum(not all(text for _, text in pairs(each)) for each in found if each.id)
        sys.stdout.write(f"{language}: {len(found)} texts, {missing} without a translation\n")


if __name__ == "__main__":
    main()
