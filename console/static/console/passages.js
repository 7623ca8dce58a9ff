// Remarks at passages: selected text becomes a form, which the server makes, and comments are shown at their text.

import { forgetOwn, save } from "./drafts.js";
import { say } from "./texts.js";

const page = document.querySelector("[data-passages]");
const content = document.querySelector(".doc-content");
const MAX_QUOTE = 1500; // characters of an address
let number = 0; // passages of this page

// The last element with an anchor that begins before a place of the text.
function headingBefore(range) {
  let found = "";
  for (const element of content.querySelectorAll("[id]")) {
    if (range.comparePoint(element, 0) > 0) break;
    found = element.id;
  }
  return found;
}

async function addPassage(given) {
  const into = document.getElementById(page.dataset.into);
  const isForm = page.dataset.into === "asked";
  if ("unshown" in into.closest("[data-draft]").dataset) return; // its kept text comes first
  const typed = isForm ? "" : into.querySelector("textarea")?.value ?? "";
  number += 1;
  const query = new URLSearchParams({ ...given, ...(isForm ? { number: `n${Date.now().toString(36)}${number}` } : {}) });
  await htmx.ajax("GET", `${page.dataset.passages}&${query}`, { target: into, swap: isForm ? "beforeend" : "outerHTML" });
  const fields = document.getElementById(page.dataset.into).querySelectorAll("[data-passage]");
  const last = fields[fields.length - 1];
  if (typed && last) last.querySelector("textarea").value = typed;
  (given.quote === undefined ? last?.querySelector("select") : last?.querySelector("textarea"))?.focus();
  if (last) save(last.closest("[data-draft]"));
}

const button = document.createElement("button");
button.type = "button";
button.id = "quote";
button.textContent = say("Comment");
button.hidden = true;

function selected() {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  return content.contains(range.commonAncestorContainer) && selection.toString().trim() ? range : null;
}

function offer() {
  const range = selected();
  button.hidden = range === null;
  if (range === null) return;
  const box = range.getBoundingClientRect();
  button.style.top = `${Math.max(8, Math.min(box.bottom + 8, innerHeight - 48))}px`;
  button.style.left = `${Math.max(8, Math.min(box.left, innerWidth - 140))}px`;
}

if (page?.dataset.passages && content) {
  page.append(button);
  document.addEventListener("selectionchange", offer);
  document.addEventListener("scroll", offer, { passive: true });
  button.addEventListener("pointerdown", (event) => event.preventDefault()); // the selection stays
  button.addEventListener("click", () => {
    const range = selected();
    if (!range) return;
    const quote = getSelection().toString().trim();
    getSelection().removeAllRanges();
    addPassage({ near: headingBefore(range), quote: quote.length > MAX_QUOTE ? "" : quote });
  });
  document.addEventListener("click", ({ target }) => {
    if (target.closest("[data-add-passage]")) addPassage({});
    const passage = target.closest("[data-remove-passage]")?.closest("[data-passage]");
    if (passage) {
      const place = passage.closest("[data-draft]");
      passage.remove();
      place.querySelector("textarea")?.focus();
      save(place);
    }
    const place = target.closest("[data-close-passage]")?.closest("[data-draft]");
    if (place) {
      forgetOwn(place);
      place.replaceChildren();
    }
  });
}

// --- comments at their text ------------------------------------------------------------------------------------------

const plain = (text) => text.replace(/[*_`~]/g, "").replace(/\s+/g, " ").trim();

// Reads the text of the page as `plain` has it, with node and offset of each of its characters.
function readText() {
  const walker = document.createTreeWalker(content, NodeFilter.SHOW_TEXT);
  const characters = [];
  const nodes = [];
  const offsets = [];
  const starts = []; // nodes, each with the index of its first character
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest(".permalink")) continue;
    starts.push([node, characters.length]);
    for (let offset = 0; offset < node.length; offset++) {
      const character = /\s/.test(node.data[offset]) ? " " : node.data[offset];
      if (/[*_`~]/.test(character) || (character === " " && characters[characters.length - 1] === " ")) continue;
      characters.push(character);
      nodes.push(node);
      offsets.push(offset);
    }
  }
  return { text: characters.join(""), nodes, offsets, starts };
}

// Returns the index of the first character of an element, or after it.
function startOf(element, starts) {
  const isAt = (node) =>
    element.contains(node) || element.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING;
  return starts.find(([node]) => isAt(node))?.[1] ?? 0;
}

// Returns the range of a quote in the text of the page, at or after an element, else before it; null if it is not there.
function rangeOf(quote, anchor, { text, nodes, offsets, starts }) {
  const wanted = plain(quote);
  if (!wanted) return null;
  const begin = anchor ? document.getElementById(anchor) : null;
  let start = text.indexOf(wanted, begin ? startOf(begin, starts) : 0);
  if (start < 0) start = text.indexOf(wanted);
  if (start < 0) return null;
  const last = start + wanted.length - 1;
  const range = document.createRange();
  range.setStart(nodes[start], offsets[start]);
  range.setEnd(nodes[last], offsets[last] + 1);
  return range;
}

const ranges = new Map(); // by number of the comment

function showComments() {
  if (!content || !globalThis.CSS?.highlights) return;
  ranges.clear();
  const shown = readText();
  for (const comment of document.querySelectorAll("#comments [data-quote]:not(.lost)")) {
    const range = rangeOf(comment.dataset.quote, comment.dataset.anchor, shown);
    if (range) ranges.set(comment.id, range);
  }
  CSS.highlights.set("comments", new Highlight(...ranges.values()));
}

function commentAt(x, y) {
  const at = document.caretPositionFromPoint?.(x, y) ?? null;
  if (!at) return null;
  for (const [id, range] of ranges) if (range.isPointInRange(at.offsetNode, at.offset)) return document.getElementById(id);
  return null;
}

content?.addEventListener("click", ({ target, clientX, clientY }) => {
  if (target.closest("a") || selected()) return;
  commentAt(clientX, clientY)?.focus();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-to]");
  const range = link && ranges.get(`comment-${link.dataset.to}`);
  if (!range) return;
  event.preventDefault();
  range.startContainer.parentElement.scrollIntoView({ block: "center" });
  CSS.highlights.set("comment", new Highlight(range));
});
document.addEventListener("htmx:after:swap", showComments);
showComments();
