"""Prepared replies: documents that people wrote for the briefs and workflows in `examples/`. No model is asked.

An example is a folder `examples/prepared/<brief>/<workflow>/`. `example.yaml` has the question that its first step
asks. Each other file has the document of a step: `epics.yaml`, or `architecture/epic-1.yaml` for an item. An object
with the one name `$answer` has a value for each answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from pydantic import JsonValue

from common.sources.text_source import read_text
from common.sources.yaml_source import read_yaml
from executions.engine.domain.calls import ModelRequest, ToolCall
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.prompting.json_text import shown
from executions.engine.prompting.replies import ASK_CLARIFICATION, SUBMIT_DOCUMENT
from workflows.definitions.definition import WorkflowDefinition
from workflows.loader import CATALOG, load_folder

BRIEFS, PREPARED = (Path(__file__).resolve().parents[3] / "examples" / each for each in ("briefs", "prepared"))
_MANIFEST = "example"
_BY_ANSWER = "$answer"
_AFTER_CHANGES = ".changed"  # ends the name of a document that meets the change request of the answer sheet
_MIN_ALIKE = (
    0.5  # share of equal lines in the inputs: a document that a person has edited a little still is the prepared one
)


@dataclass(frozen=True, slots=True)
class PreparedReply:
    """A reply, and the example that it belongs to."""

    example: str  # <brief>/<workflow>
    call: ToolCall


@dataclass(frozen=True)
class Example:
    """The prepared replies of one workflow on one brief."""

    name: str
    definition: WorkflowDefinition
    question: Mapping[str, JsonValue] | None
    documents: Mapping[str, JsonValue]  # by step id

    @cached_property
    def asking_step(self) -> str:
        """The step that asks the question: the first one."""
        return self.definition.steps[0].id

    @cached_property
    def answers(self) -> Mapping[str, str]:
        """The values of the question's choices, by their labels. Without a question, there is one empty answer."""
        draft = None if self.question is None else QuestionDraft.model_validate(self.question)
        return {"": ""} if draft is None else {each.label: each.value for each in draft.choices}

    def reply(self, request: ModelRequest) -> ToolCall | None:
        """Return the reply to a request of this workflow; None: another workflow or answer, or nothing was prepared."""
        if not self._is_asked_by(request):
            return None
        answered = any(each.kind in {"answer", "unanswered"} for each in request.materials)
        if self.question is not None and request.step_id == self.asking_step and request.max_questions and not answered:
            return ToolCall(name=ASK_CLARIFICATION, arguments={"questions": [dict(self.question)]})
        answer = self._answer_of(request)
        changed = any(each.kind == "change_request" for each in request.materials)
        name = request.step_id.replace("@", "/").replace(".", "/") + (_AFTER_CHANGES if changed else "")
        if answer is None or name not in self.documents:
            return None
        return ToolCall(name=SUBMIT_DOCUMENT, arguments=self.document(name, answer))

    def document(self, name: str, answer: str) -> JsonValue:
        """Return a document as it reads after an answer."""
        return _for_answer(self.documents[name], answer)

    def _is_asked_by(self, request: ModelRequest) -> bool:
        """Return whether the request is what the shipped workflow asks in this step, word by word."""
        step = next((each for each in self.definition.steps if each.id == request.step_id.partition("@")[0]), None)
        return (
            step is not None
            and step.produces == request.document_type
            and step.task in request.prompt
            and self.definition.roles[step.role].instructions in request.prompt
            and step.output_schema == request.output_schema
        )

    def _answer_of(self, request: ModelRequest) -> str | None:
        """Return the answer that a document follows: the one that was given, or else that of the input documents."""
        given = [each.text for each in request.materials if each.kind == "answer"]
        if given:
            return next((value for label, value in self.answers.items() if label in given), None)
        inputs = [line for each in request.materials if each.kind in {"document", "item"} for line in _lines(each.text)]
        if not inputs or len(self.answers) == 1:
            return next(iter(self.answers.values()))
        shares = {value: sum(line in self._known[value] for line in inputs) for value in self.answers.values()}
        best = max(shares, key=shares.__getitem__)
        return best if shares[best] >= _MIN_ALIKE * len(inputs) else None

    @cached_property
    def _known(self) -> Mapping[str, frozenset[str]]:
        """The lines of all documents, by answer."""
        return {
            value: frozenset(line for name in self.documents for line in _lines(shown(self.document(name, value))))
            for value in self.answers.values()
        }


def _lines(text: str) -> list[str]:
    """Return the lines of a document, without what depends on their place in it."""
    return [line.strip(" ,") for line in text.splitlines()]


def prepared_reply(request: ModelRequest) -> PreparedReply | None:
    """Return the reply that was prepared for this request; None: the rehearsal makes one up."""
    if request.revision is not None and request.revision.request.comments:
        return None
    brief = next((each.text for each in request.materials if each.kind == "brief"), "")
    for example in examples().get(_plain(brief), ()):
        if (call := example.reply(request)) is not None:
            return PreparedReply(example.name, call)
    return None


@cache
def examples() -> Mapping[str, tuple[Example, ...]]:
    """Return the examples that ship, by the text of their brief."""
    folders = sorted(path.parent for path in PREPARED.glob(f"*/*/{_MANIFEST}.yaml"))
    found: dict[str, tuple[Example, ...]] = {}
    for folder in folders:
        brief = _plain(read_text(BRIEFS / f"{folder.parent.name}.md"))
        found[brief] = (*found.get(brief, ()), _read(folder))
    return found


def _read(folder: Path) -> Example:
    files = dict(_files(folder))
    manifest = files.pop(_MANIFEST)
    question = manifest.get("question") if isinstance(manifest, dict) else None
    return Example(
        name=f"{folder.parent.name}/{folder.name}",
        definition=load_folder(CATALOG / folder.name),
        question=question if isinstance(question, dict) else None,
        documents=files,
    )


def _files(folder: Path) -> Iterator[tuple[str, JsonValue]]:
    for path in sorted(folder.rglob("*.yaml")):
        yield path.relative_to(folder).as_posix().removesuffix(".yaml"), read_yaml(read_text(path)).value


def _plain(text: str) -> str:
    """Return a text without what editors and browsers change in it: the ends of lines, and space around it."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _for_answer(value: JsonValue, answer: str) -> JsonValue:
    if isinstance(value, dict):
        if set(value) == {_BY_ANSWER}:
            by_answer = value[_BY_ANSWER]
            return by_answer[answer] if isinstance(by_answer, dict) else by_answer
        return {name: _for_answer(inner, answer) for name, inner in value.items()}
    return [_for_answer(inner, answer) for inner in value] if isinstance(value, list) else value
