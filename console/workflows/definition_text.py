"""A definition that an author writes as one text: what is wrong with it, and on which line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from django.utils.translation import gettext, gettext_lazy

from common.errors import DomainError, FieldError
from console.workflows.drawing import Drawing, draw
from console.workflows.forms import DefinitionForm
from workflows import publishing
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.exchange.uploads import Form, read_upload
from workflows.places import Sources

_MAX_FAULTS = 100
_MAX_EXCERPT = 120  # characters of a line
_DEFINITION = "/definition"

#: What a new workflow begins with: it is valid, and can be tried at once.
BEGINNING = gettext_lazy(
    """\
id: my-workflow
name: My workflow
description: What it makes, from which brief.
brief: required
roles:
  writer:
    name: Writer
    instructions: |-
      You write for readers who have little time. You add nothing that the brief does not say.
steps:
- id: summary
  name: Summary
  role: writer
  task: |-
    Sum up the brief in at most ten sentences.
  produces: summary
  output_schema:
    type: object
    additionalProperties: false
    required: [title, text]
    properties:
      title:
        type: string
        description: What it is about.
      text:
        type: string
        description: The summary.
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault, with its line in the text."""

    line: int | None
    pointer: str
    detail: str
    excerpt: str = ""


@dataclass(slots=True, kw_only=True)
class Writing:
    """A definition that is being written, as its page shows it."""

    form: DefinitionForm
    text: str
    show: str = ""  # what a button asks for, instead of publishing: `check`, `try`, `publish` or `draft`
    is_sent: bool = False
    definition: WorkflowDefinition | None = None  # if the text has no faults
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    sentences: list[str] = field(default_factory=list)  # refusals without a line

    def check(self) -> WorkflowDefinition | None:
        """Check the text as publishing does, and store nothing. Return the definition; None if it has faults."""
        try:
            upload = read_upload(self.text.encode(errors="replace"), self._form_of_text)
            publishing.require_house(upload.definition, upload.house)
        except DefinitionError as error:
            self._take(error.errors)
            return None
        self.definition = upload.definition
        return upload.definition

    @property
    def _form_of_text(self) -> Form:
        return Form.JSON if self.text.lstrip().startswith("{") else Form.YAML

    def refuse_id(self, detail: str) -> None:
        """Add a fault of the workflow's id."""
        name = self._form_of_text.value
        sources = Sources(main=name, texts={name: self.text})
        self._take(sources.located([FieldError(pointer="/id", code="taken", detail=detail)]))
        self.definition = None

    def refuse(self, error: DomainError) -> None:
        """Keep the errors of a command for their fields, or for the text."""
        for each in error.errors:
            name = each.pointer.removeprefix("/").partition("/")[0]
            if name in self.form.fields and name != "definition":
                self.form.add_error(name, each.detail)
            elif each.pointer.startswith(_DEFINITION):
                self._take([each.model_copy(update={"pointer": each.pointer.removeprefix(_DEFINITION)})])
            else:
                self.sentences.append(each.detail)
        if not error.errors:
            self.sentences.append(gettext(str(error)))

    def _take(self, errors: Sequence[FieldError]) -> None:
        lines = self.lines
        self.fault_count += len(errors)
        for error in errors[: _MAX_FAULTS - len(self.faults)]:
            line = getattr(error, "line", None)
            excerpt = lines[line - 1].strip() if line and line <= len(lines) else ""
            self.faults.append(
                Fault(line=line, pointer=error.pointer, detail=error.detail, excerpt=excerpt[:_MAX_EXCERPT])
            )
        self.faults.sort(key=lambda fault: fault.line or 0)

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")

    @property
    def numbers(self) -> list[tuple[int, bool]]:
        """The numbers of all lines, and whether a line has a fault."""
        marked = {fault.line for fault in self.faults}
        return [(number, number in marked) for number in range(1, len(self.lines) + 1)]

    @property
    def advice(self) -> list[FieldError]:
        """What is valid and may surprise."""
        return [] if self.definition is None else publishing.advice(self.definition)

    @property
    def drawing(self) -> Drawing | None:
        """The graph of a text without faults."""
        return None if self.definition is None else draw(self.definition)

    @property
    def refusals(self) -> list[str]:
        """What was refused that has no line."""
        of_fields = (f"{self.form[name].label}: {' '.join(map(str, each))}" for name, each in self.form.errors.items())
        return [*chain(self.sentences, of_fields if self.show == "try" else ())]
