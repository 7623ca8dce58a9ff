"""Terminal output of the demo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_SMALL = Decimal("0.01")  # US dollars
_MARKS = {
    "step_started": "[cyan]▶[/]",
    "remediation_started": "[yellow]↻[/]",
    "review_started": "[cyan]○[/]",
    "review_completed": "[cyan]●[/]",
    "clarification_needed": "[magenta]?[/]",
    "clarification_answered": "[magenta]✓[/]",
    "acceptance_needed": "[magenta]?[/]",
    "acceptance_decided": "[magenta]✓[/]",
    "step_completed": "[green]✓[/]",
    "step_failed": "[red]✗[/]",
    "step_cancelled": "[red]■[/]",
    "step_reused": "[dim]=[/]",
    "step_skipped": "[dim]-[/]",
}
_DECISIONS = {"accept": "accepted", "reject": "rejected", "request_changes": "sent back"}


def event_line(event: Mapping[str, Any]) -> str:
    """Format an event as a line in rich markup."""
    data, step = event["data"], event["step_id"] or ""
    text = {
        "execution_created": lambda: (
            f"accepted: {data['workflow_id']} version {data['workflow_version']}"
            f"{', a dry run' if data['dry_run'] else ''}"
        ),
        "execution_started": lambda: "claimed by a worker",
        "step_started": lambda: f"{step}: the {data['role'].lower()} writes ({data['model']})",
        "remediation_started": lambda: f"{step}: sent back, {len(data['violations'])} errors",
        "review_started": lambda: f"{step}: review by {data['model']}",
        "review_completed": lambda: f"{step}: review result {data['verdict']}, {len(data['findings'])} findings",
        "clarification_needed": lambda: f"{step}: {len(data['questions'])} question(s)",
        "clarification_answered": lambda: f"{step}: answered by {data['answered_by']}",
        "acceptance_needed": lambda: (
            f"{step}: {data['title']} (version {data['document_version']}) waits for a decision"
        ),
        "acceptance_decided": lambda: f"{step}: {_DECISIONS[data['decision']]} by {data['decided_by']}",
        "step_reused": lambda: f"{step}: {data['title']} (version {data['document_version']}) is current",
        "step_completed": lambda: f"{step}: {data['title']} (version {data['document_version']})",
        "step_failed": lambda: f"{step}: failed, {data['error']}",
        "step_cancelled": lambda: f"{step}: cancelled",
        "step_skipped": lambda: f"{step}: skipped, {data['reason']}",
        "execution_waiting": lambda: f"waiting for {', '.join(data['waiting_on'])}",
        "execution_resumed": lambda: "resumed",
        "execution_retried": lambda: "retried",
        "budget_warning": lambda: f"close to the limit {data['limit']}: {data['used']} of {data['maximum']}",
        "budget_changed": lambda: f"budget changed by {data['changed_by']}",
        "complete": lambda: f"ended: {data['status']}",
    }.get(event["event_type"], lambda: event["event_type"].replace("_", " "))()  # event type of a newer server
    clock, mark = event["timestamp"][11:19], _MARKS.get(event["event_type"], "[dim]·[/]")
    return f"[dim]{clock} {event['sequence']:>3}[/] {mark} {escape(text)}"


def document(console: Console, found: Mapping[str, Any]) -> None:
    """Print a document."""
    mark = "rehearsal" if found["rehearsal"] else "prepared" if found["prepared"] else ""
    heading = f"[bold]{escape(found['type'])}[/] version {found['version']}" + (f"  [yellow]{mark}[/]" if mark else "")
    body = Group(Text(found["title"], style="bold"), *_parts(found["content"]))
    console.print(Panel(body, title=heading, title_align="left", border_style="dim"))


def items(console: Console, steps: Sequence[Mapping[str, Any]]) -> None:
    """Print the documents of items, one per line."""
    finished = [step for step in steps if step["item"] and step["document"]]
    if not finished:
        return
    table = Table(title="Documents of items", title_justify="left", header_style="bold", box=box.SIMPLE)
    for name in ("step", "document"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    table.add_column("version", justify="right")
    for step in finished:
        table.add_row(step["step_id"], escape(step["document"]["title"]), str(step["document"]["version"]))
    console.print(table)


def _parts(content: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield a heading and a paragraph or a list for each field."""
    for name, value in content.items():
        if name == "title":
            continue
        yield Text(f"\n{name.replace('_', ' ').capitalize()}", style="bold cyan")
        if isinstance(value, list):
            yield from (Padding(_item(each), (0, 0, 0, 2)) for each in value)
        else:
            yield Text(_to_text(value), overflow="fold")


def _item(value: Any) -> Text:
    """Return an item of a list: its first field, then the others below it with their names."""
    if not isinstance(value, dict):
        return Text(f"• {_to_text(value)}", overflow="fold")
    fields = list(value.items())
    lines = [f"• {_to_text(fields[0][1])}" if fields else "•"]
    lines += [f"    {name.replace('_', ' ')}: {_to_text(each)}" for name, each in fields[1:]]
    return Text("\n".join(lines), overflow="fold")


def _to_text(value: Any) -> str:
    if isinstance(value, dict):
        return " | ".join(_to_text(each) for each in value.values())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_to_text(each) for each in value)
    return str(value)


def costs(console: Console, found: Mapping[str, Any]) -> None:
    """Print the costs of each step."""
    table = Table(title="Costs", title_justify="left", header_style="bold", box=box.SIMPLE)
    table.add_column("step", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=9)
    for name in ("calls", "tokens in", "tokens out", "US$"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in found["steps"]:
        models = {call["requested_model"].partition(":")[2] for each in step["attempts"] for call in each["calls"]}
        table.add_row(step["step_id"], ", ".join(sorted(models)), *_figures(step))
    table.add_section()
    table.add_row("total", "", *_figures(found["total"]), style="bold")
    console.print(table)
    if found["total"]["unpriced_calls"]:
        console.print("[dim]? is a call with an unknown cost: no price, or no token count[/]")


def _dollars(amount: str) -> str:
    """Return an amount with two decimals, or with as many as a smaller one needs."""
    value = Decimal(amount)
    return f"{value:.2f}" if value == 0 or value >= _SMALL else f"{value.normalize():f}"


def _figures(sums: Mapping[str, Any]) -> list[str]:
    cached = sums["cache_read_input_tokens"] + sums["cache_write_input_tokens"]
    known = _dollars(sums["known_cost_usd"])
    cost = known if sums["cost_usd"] is not None else f"{known} + {sums['unpriced_calls']} ?"
    return [str(sums["calls"]), f"{sums['input_tokens'] + cached:,}", f"{sums['output_tokens']:,}", cost]


def next_steps(console: Console) -> None:
    """Print what to do after the demo."""
    console.print(
        "\n[bold]Next[/]\n"
        "  make serve                 your own server: it prints the link to your account and to this example\n"
        "  make demo BRIEF=my.md      a brief of your own; set ANTHROPIC_API_KEY, OPENAI_API_KEY or GOOGLE_API_KEY\n"
        "                             for a real model, or a free one rearranges its words",
        highlight=False,
    )
