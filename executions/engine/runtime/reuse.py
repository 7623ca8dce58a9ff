"""Whether the scope has a document that a step would only make again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.canonical_json import digest
from common.errors import Erased
from executions.engine.domain.copying import IdentityKey, replace
from executions.engine.domain.execution import Document, Execution, Pin, is_accepted
from executions.engine.domain.states import Reuse
from executions.engine.ports import Ports, Repositories
from executions.engine.prompting.origin import brief_hash
from executions.engine.prompting.schema_errors import validator_for
from executions.engine.runtime.attempts import Attempts
from executions.engine.runtime.document_cache import DocumentCache, pin_of
from executions.engine.transitions import core
from executions.engine.transitions.for_each import Collections


async def current_document(
    execution: Execution,
    ports: Ports,
    *,
    attempts: Attempts,
    inputs: Sequence[Document],
    collections: Collections,
) -> Document | None:
    """Return the scope's document for a step if it is current; None: the step has to make it.

    It is current if the same step made it from the same brief and from inputs with the same content, whatever the
    model. A person's edit keeps this origin. A step that began before in this execution makes its document again.
    """
    step = execution.steps[attempts.step_id]
    if execution.reuse is Reuse.NONE or step.started_at is not None:
        return None
    head = await ports.repositories.documents.get_by_scope_type(step.scope.id, step.produces)
    if head is None or not _has_origin(head, execution, attempts):
        return None
    if validator_for(IdentityKey(attempts.step.output_schema)).faults(dict(head.content), 1):
        return None
    only_head = attempts.step.approvers is not None
    if attempts.step.decision is not None and not await _is_accepted(head, ports.repositories, only_head=only_head):
        return None
    if not await _has_inputs(head, inputs, attempts.documents) or collections.faults(execution, head.content):
        return None
    return head


def complete_with(
    document: Document,
    execution: Execution,
    step_id: str,
    *,
    inputs: Sequence[Document],
    collections: Collections,
    context: core.Context,
) -> core.Change:
    """Complete a ready step with a document of its scope that is current for these inputs.

    Raises:
        IllegalTransition: the step is not pending, or the execution has ended.
    """
    pins = tuple(pin_of(each) for each in inputs)
    grown = collections.expand(execution, document.content, now=context.now)
    change = core.reuse_document(grown.execution, step_id, document, input_versions=pins, context=context)
    return replace(change, events=(*grown.events, *change.events))


def _has_origin(head: Document, execution: Execution, attempts: Attempts) -> bool:
    origin = head.provenance.get("origin")
    if not isinstance(origin, Mapping) or origin.get("step_hash") != attempts.step_hash:
        return False
    # Older documents have a hash with the ids of the files.
    return origin.get("brief_hash") in {attempts.brief_hash(execution), brief_hash(execution.input)}


async def _has_inputs(head: Document, inputs: Sequence[Document], documents: DocumentCache) -> bool:
    """Return whether the document was made from these inputs, or from versions with the same content."""
    pins = {pin.document_id: pin for pin in _pins(head)}
    if pins.keys() != {each.id for each in inputs}:
        return False
    for each in inputs:
        pin = pins[each.id]
        if pin.version != each.version and await _content_hash(pin, documents) != digest(each.content):
            return False
    return True


async def _content_hash(pin: Pin, documents: DocumentCache) -> str | None:
    """Return the hash of the content of an input; None: it was erased."""
    try:
        return digest((await documents.pinned(pin)).content)
    except Erased:
        return None


def _pins(head: Document) -> list[Pin]:
    pins = head.provenance.get("inputs")
    return [Pin.model_validate(each) for each in pins] if isinstance(pins, list) else []


async def _is_accepted(head: Document, repositories: Repositories, *, only_head: bool) -> bool:
    """Return whether a person has accepted this version, or the one that people have edited since.

    Where a step names approvers (`only_head`), an edit after their votes is not accepted.
    """
    made = await repositories.documents.last_made(head.id, head.version)
    if made is None:
        return False
    maker = await repositories.executions.step_outcome(made.execution_id, made.step_id)
    first = head.version if only_head else made.version
    return is_accepted(maker, range(first, head.version + 1)) is True
