// The text that steps write, as it runs in. Only text nodes change, and only those of the newest steps.

const MOST = 3; // texts at once
const KEPT = 20_000; // characters of each
const ENDS = new Set(["step_completed", "step_failed", "step_cancelled", "step_skipped", "clarification_needed", "acceptance_needed",
  "remediation_started", "review_started", "step_started"]);
const section = document.getElementById("writing");
const pane = document.getElementById("written");
const names = new Map(section.dataset.names.trim().split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
const texts = new Map(); // step id → its element, the newest last

function remove(step) {
  texts.get(step)?.remove();
  texts.delete(step);
  section.hidden = texts.size === 0;
}

function placeOf(step) {
  const known = texts.get(step);
  if (known) return known;
  const [slug, keys] = step.split(/@(.*)/s);
  const place = document.createElement("article");
  const title = document.createElement("h3");
  title.textContent = [names.get(slug) ?? slug, keys].filter(Boolean).join(" · ");
  const text = document.createElement("p");
  text.dataset.draft = step;
  text.append("");
  place.append(title, text);
  pane.append(place);
  texts.set(step, place);
  for (const oldest of [...texts.keys()].slice(0, -MOST)) remove(oldest);
  return place;
}

// What a person reads of a JSON text that is not complete: names as titles, texts without their quotes.
function readable(text) {
  const lines = [];
  for (const [token, name, value] of text.matchAll(/"((?:[^"\\]|\\.)*)"\s*:|"((?:[^"\\]|\\.)*)(?:"|\\?$)|[-+.\w]+/gs)) {
    if (name !== undefined) lines.push(`${titleOf(unescaped(name))}: `);
    else if (lines.at(-1)?.endsWith(": ")) lines.push(lines.pop() + unescaped(value ?? token));
    else lines.push(unescaped(value ?? token));
  }
  return lines.join("\n");
}

const titleOf = (name) => name.replaceAll(/[_-]/g, " ").replace(/^./, (letter) => letter.toUpperCase());

function unescaped(text) {
  try {
    return JSON.parse(`"${text.replace(/\\(?:u[\da-f]{0,3})?$/i, "")}"`);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

document.addEventListener("scriptorium:writing", ({ detail: { step_id: step, text } }) => {
  const follows = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 24; // the reader has not scrolled up
  const place = placeOf(step);
  place.lastChild.firstChild.data = readable(text).slice(-KEPT);
  section.hidden = false;
  if (follows) pane.scrollTop = pane.scrollHeight;
});
document.addEventListener("scriptorium:changed", ({ detail: { kind, step } }) => {
  if (kind === "complete") for (const each of [...texts.keys()]) remove(each);
  else if (step !== null && ENDS.has(kind)) remove(step);
});
