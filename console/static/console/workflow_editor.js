// The editor of a workflow: numbers of lines beside the text, marks at lines with faults, and links to these lines.
// The server checks the text; while it is edited, marks move with their lines.

const shown = new WeakMap(); // text field → its lines when the numbers were last made

const textOf = (element) => (element.matches?.(".pane textarea") ? element : null);
const linesOf = (text) => text.value.split("\n");
const gutterOf = (text) => text.parentElement.querySelector(".gutter");
const links = (text) => [...text.form.querySelectorAll("[data-line]")];

// Moves the marks of lines after a change.
function move(text, before, now) {
  let same = 0;
  while (same < before.length && same < now.length && before[same] === now[same]) same += 1;
  for (const link of links(text)) {
    const line = Number(link.dataset.line);
    if (line <= same + 1) continue;
    link.dataset.line = Math.max(line + now.length - before.length, same + 1);
    link.querySelector("[data-number]").textContent = link.dataset.line;
  }
}

function number(text) {
  const before = shown.get(text) ?? text.defaultValue.split("\n");
  const now = linesOf(text);
  shown.set(text, now);
  if (before.length === now.length) return;
  move(text, before, now);
  const marked = new Set(links(text).map((link) => Number(link.dataset.line)));
  gutterOf(text).replaceChildren(...now.flatMap((_, index) => {
    if (!marked.has(index + 1)) return [`${index + 1}\n`];
    const mark = document.createElement("b");
    mark.textContent = `✗ ${index + 1}`;
    return [mark, "\n"];
  }));
  gutterOf(text).scrollTop = text.scrollTop;
}

// Puts the cursor on a line, and shows it.
function go(text, line) {
  const lines = linesOf(text);
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  text.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(text).lineHeight);
  text.scrollLeft = 0;
  text.scrollIntoView({ block: "nearest" });
}

document.addEventListener("input", ({ target }) => { if (textOf(target)) number(target); });
document.addEventListener("scroll", ({ target }) => {
  if (target !== document && textOf(target)) gutterOf(target).scrollTop = target.scrollTop;
}, true);

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-line]");
  if (!link) return;
  event.preventDefault();
  go(link.closest("form").querySelector(".pane textarea"), Number(link.dataset.line));
});

// A new line begins as far to the right as the one before.
document.addEventListener("keydown", (event) => {
  const text = textOf(event.target);
  if (!text || event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey) return;
  const [indent] = text.value.slice(0, text.selectionStart).split("\n").at(-1).match(/^ */);
  if (!indent) return;
  event.preventDefault();
  document.execCommand("insertText", false, `\n${indent}`); // keeps the history of the field
});

// After an act the result gets the focus.
document.addEventListener("htmx:after:swap", () => document.querySelector("#editor [data-result]")?.focus());
