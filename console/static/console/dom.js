// Builders of page elements. Texts become text nodes: texts of models and people are never parsed as HTML.

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const MARKS = {
  pending: "○", running: "●", waiting: "?", remediating: "↻", completed: "✓", failed: "✗", cancelled: "■", skipped: "–",
  committed: "✓", discarded: "–", unknown: "?",  // statuses of calls
};

export const badge = (status) =>
  make("span", { class: "badge", "data-status": status, "data-mark": MARKS[status] ?? "" }, status);

// A label for dry runs, rehearsals and prepared examples; otherwise null.
export const flag = ({ dry_run: dry, prepared, rehearsal }) => {
  const name = dry ? "dry run" : prepared ? "prepared" : rehearsal ? "rehearsal" : null;
  return name ? make("span", { class: dry ? "tag dry" : "tag" }, name) : null;
};

export const money = (cost) => {
  if (cost === null || cost === undefined) return "unknown";
  const amount = Number(cost);
  return amount === 0 ? "$0" : amount < 0.01 ? `$${amount.toFixed(6)}` : `$${amount.toFixed(2)}`;
};

// Cost of a sum of calls; unknown costs are counted separately.
export const spent = (sums) => sums.cost_complete
  ? money(sums.cost_usd)
  : `${money(sums.known_cost_usd)}, and ${sums.unpriced_calls} ${sums.unpriced_calls === 1 ? "call" : "calls"} of unknown cost`;

export const moment = (text, timeStyle = "short") =>
  text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle }) : "";

export const words = (name) => name.replaceAll("_", " ").replaceAll("-", " ").replace(/^./, (letter) => letter.toUpperCase());

// A document for people: headings, paragraphs, lists, and tables for lists of objects.
export function readable(value) {
  if (Array.isArray(value)) {
    if (value.length === 0) return make("p", { class: "hint" }, "None.");
    if (value.every((item) => item !== null && typeof item === "object" && !Array.isArray(item))) return table(value);
    return make("ul", {}, value.map((item) => make("li", {}, readable(item))));
  }
  if (value !== null && typeof value === "object") {
    return make("div", {}, Object.entries(value).map(([name, inner]) => [make("h4", {}, words(name)), readable(inner)]));
  }
  if (typeof value === "boolean") return make("span", {}, value ? "yes" : "no");
  return make("span", {}, String(value ?? "–"));
}

function table(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return make("div", { class: "scroll" }, make("table", { class: "narrow-cards" },
    make("thead", {}, make("tr", {}, columns.map((column) => make("th", { scope: "col" }, words(column))))),
    make("tbody", {}, rows.map((row) => make("tr", {}, columns.map((column) => make("td", { "data-label": words(column) }, cell(row[column]))))))));
}

const cell = (value) =>
  Array.isArray(value) && value.every((item) => typeof item !== "object") ? value.join(", ") : readable(value);
