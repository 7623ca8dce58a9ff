"""Files are read in a process with limits: whatever the file or the process does ends with a sentence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from common import limits as configured
from documents.extraction import process
from documents.extraction.limits import ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, RefusalCode
from tests.factories.files import documents, pdfs, workbooks
from tests.support.waiting import HANG_SECONDS

MIB = 1024 * 1024
LAUGHS = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><d>&b;</d>'
TEMPLATE = documents.relationships(("rId1", "attachedTemplate", "http://203.0.113.9/a.dotm", True))
PAGE = documents.paragraph("Text")

HOSTILE = [
    ("bomb.docx", documents.docx(PAGE, more={"word/a.bin": bytes(20 * MIB)}), RefusalCode.ARCHIVE_BOMB),
    ("nested.zip", documents.archive({"a.zip": documents.archive({"a": "b"})}), RefusalCode.UNSUPPORTED_TYPE),
    ("laughs.docx", documents.docx("", more={"word/document.xml": LAUGHS}), RefusalCode.EXTERNAL_ENTITIES),
    ("endless.pdf", pdfs.with_endless_tree(), RefusalCode.DAMAGED),
    ("expanding.pdf", pdfs.with_expanding_content(600), RefusalCode.DAMAGED),
    ("huge.png", workbooks.claimed_png(60_000, 60_000), RefusalCode.TOO_MANY_PIXELS),
    ("template.docx", documents.docx(PAGE, more={"word/_rels/a.xml.rels": TEMPLATE}), RefusalCode.EXTERNAL_CONTENT),
    ("macros.docx", documents.docx(PAGE, main_type=documents.MACRO_TYPE), RefusalCode.MACROS),
    ("two.pdf", pdfs.simple("Text") + documents.archive({"a": "b"}), RefusalCode.TYPE_MISMATCH),
    ("liar.pdf", documents.docx(PAGE), RefusalCode.TYPE_MISMATCH),
    ("cut.xlsx", workbooks.xlsx({"S": [[1]]})[:-100], RefusalCode.DAMAGED),
    ("secret.pdf", pdfs.Pdf(["Text"], encrypt=("user", "owner")).to_bytes(), RefusalCode.ENCRYPTED),
]


def limits(**values: int) -> ExtractionLimits:
    return ExtractionLimits(**values)


async def refusal(data: bytes, name: str = "a", **values: int) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        await process.extract(data, name=name, limits=limits(**values))
    return refused.value


async def ended_by(code: str, *arguments: str, **values: int) -> FileRefused:
    """Return how a process is reported that runs this code instead of reading a file."""
    with pytest.raises(FileRefused) as refused:
        await process._extract((sys.executable, "-I", "-c", code, *arguments), b"{}\n", limits(**values))
    return refused.value


async def test_the_answer_is_the_text() -> None:
    extraction = await process.extract(pdfs.simple("First", "Zweite Seite: €"), name="a.pdf")
    assert [each.text for each in extraction.segments] == ["First", "Zweite Seite: €"]
    assert Extraction.from_json(json.loads(json.dumps(extraction.to_json()))) == extraction


@pytest.mark.parametrize(("name", "data", "code"), HOSTILE, ids=[name for name, _, _ in HOSTILE])
async def test_hostile_files_end_with_a_sentence(name: str, data: bytes, code: RefusalCode) -> None:
    refused = await refusal(data, name, memory_bytes=256 * MIB)
    assert refused.code is code
    assert refused.detail.startswith(f"“{name}” ")
    assert refused.detail.endswith(".")


async def test_names_in_sentences_are_bounded_and_visible() -> None:
    refused = await refusal(b"", "x\n\u202e" + "y" * 500)
    assert refused.detail == f"“x  {'y' * 97}…” is empty."


async def test_a_file_above_the_limit_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "COMMAND", ("/nonexistent",))
    refused = await refusal(bytes(11), file_bytes=10)
    assert (refused.code, refused.detail) == (RefusalCode.TOO_LARGE, "“a” has 11 bytes; 10 bytes are the limit.")


async def test_without_limits_those_of_the_settings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.current_limits() == ExtractionLimits()
    monkeypatch.setattr(configured, "_current", configured.Limits(file_bytes=3))
    with pytest.raises(FileRefused, match="3 bytes are the limit"):
        await process.extract(b"four", name="a")


async def test_a_process_that_takes_too_long_is_killed() -> None:
    refused = await ended_by("import time; time.sleep(600)", seconds=1)
    assert (refused.code, refused.detail) == (RefusalCode.TIMED_OUT, "takes more than 1 s to read")


async def test_a_file_that_takes_too_long_is_refused() -> None:
    assert (await refusal(pdfs.with_forms_in_forms(8), seconds=1)).code is RefusalCode.TIMED_OUT


async def test_a_process_that_writes_without_end_is_killed() -> None:
    code = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    assert (await ended_by(code, characters=1000)).code is RefusalCode.TOO_LARGE


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "raise ValueError('of a library')",
        "print('no answer')",
        "print('[1]')",
        "pass",
    ],
)
async def test_a_process_that_fails_means_damage(code: str) -> None:
    refused = await ended_by(code)
    assert refused.code is RefusalCode.DAMAGED
    assert refused.detail.startswith("stopped the program that reads files")


async def test_a_process_that_uses_up_its_time_of_the_processor_timed_out() -> None:
    refused = await ended_by(f"import os; os.kill(os.getpid(), {int(signal.SIGXCPU)})")
    assert refused.code is RefusalCode.TIMED_OUT


async def test_memory_has_a_limit_that_has_a_sentence() -> None:
    refused = await refusal("😀".encode() * (4 * MIB), memory_bytes=64 * MIB)
    assert (refused.code, refused.detail) == (
        RefusalCode.OUT_OF_MEMORY,
        "“a” takes more memory to read than 64 MiB.",
    )


async def test_memory_stays_within_its_limit(tmp_path: Path) -> None:
    (tmp_path / "bomb.pdf").write_bytes(pdfs.with_expanding_content(400))
    code = (
        "import asyncio, resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from documents.extraction.process import extract\n"
        "from documents.extraction.limits import ExtractionLimits\n"
        "from documents.extraction.results import FileRefused\n"
        "limits = ExtractionLimits(memory_bytes=200 << 20)\n"
        "try: asyncio.run(extract(open(sys.argv[2], 'rb').read(), name='a', limits=limits))\n"
        "except FileRefused as refused: print(refused.code)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    root = Path(process.__file__).parents[2]
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(root), str(tmp_path / "bomb.pdf"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await started.communicate()
    *_, refused, megabytes = output.decode().split()
    assert refused == RefusalCode.DAMAGED
    assert int(megabytes) < 200


async def test_a_cancelled_caller_ends_the_process_and_removes_its_folder(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = (
        "import json, os, sys, time; p = sys.argv[1]\n"
        "open(p + '.new', 'w').write(json.dumps([os.getpid(), os.getcwd()])); os.rename(p + '.new', p)\n"
        "time.sleep(600)"
    )
    task = asyncio.create_task(process._extract((sys.executable, "-I", "-c", code, str(told)), b"", limits()))
    async with asyncio.timeout(HANG_SECONDS):
        while not told.exists():
            await asyncio.sleep(0.01)
    pid, folder = json.loads(told.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not Path(folder).exists()


async def test_the_process_gets_nothing_of_its_parents_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_KEY", "secret")
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"
    ended = await process._run((sys.executable, "-I", "-c", code), b"", tmp_path, max_answer=10_000)
    environment, folder = json.loads(ended.answer)
    assert {key: value for key, value in environment.items() if key != "LC_CTYPE"} == {"TMPDIR": str(tmp_path)}
    assert Path(folder) == tmp_path


async def test_what_a_library_prints_is_no_part_of_the_answer(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from documents.extraction import child\n"
        "found = child.detect\n"
        "child.detect = lambda *given: os.write(1, b'noise') and found(*given)\n"
        "child.main()"
    )
    request = json.dumps({"name": "a", "limits": {}}).encode() + b"\ntext"
    command = (sys.executable, "-I", "-c", code, process.COMMAND[-1])
    ended = await process._run(command, request, tmp_path, max_answer=10_000)
    assert json.loads(ended.answer)["extraction"]["segments"][0]["text"] == "text"


def test_a_web_process_loads_no_library_for_files() -> None:
    heavy = {"pypdfium2", "openpyxl", "PIL"}
    code = "import sys, documents.extraction.process; print(*sys.modules)"
    root = process.COMMAND[-1]
    found = asyncio.run(_output(sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"))
    assert not heavy & set(found.split())


async def _output(*command: str) -> str:
    started = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await started.communicate()
    return output.decode()
