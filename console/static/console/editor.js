// The editor of a document: items of lists are added, moved and removed. The server reads them in the order of the page.

import { save } from "./drafts.js";
import { tell } from "./faults.js";
import { say } from "./texts.js";

let added = 0; // new items of this page

// Makes what a template holds. Names and ids of a new item have its number in place of the token.
function made(template, token) {
  added += 1;
  const number = `n${Date.now().toString(36)}${added}`;
  const holder = document.createElement("template");
  holder.innerHTML = token ? template.innerHTML.replaceAll(token, number) : template.innerHTML;
  return holder.content.firstElementChild;
}

const firstField = (element) => element.querySelector("input:not([type=hidden]), textarea, select, button");

function changed(element) {
  const place = element.closest("[data-draft]");
  if (place) save(place);
}

function add(button) {
  const parts = button.closest("[data-parts]");
  const fresh = made(parts.querySelector(":scope > template"), parts.dataset.token);
  const sent = [...new FormData(button.form)].length + fresh.querySelectorAll("[name]").length;
  if (sent > Number(button.form.dataset.most)) {
    tell(say("This form has as many fields as it can send. Edit the document as JSON to add more."));
    return;
  }
  if (parts.dataset.token) button.before(fresh);
  else parts.replaceWith(fresh);
  firstField(fresh)?.focus();
  changed(fresh);
}

function remove(button) {
  const item = button.closest("[data-item], fieldset.group");
  const near = item.nextElementSibling ?? item.parentElement;
  const after = near.matches("button, fieldset") ? near : firstField(near) ?? item.parentElement.closest("fieldset");
  item.remove();
  after?.focus();
  changed(after ?? document.getElementById("editor").firstElementChild);
}

function move(button) {
  const item = button.closest("[data-item]");
  const other = button.dataset.move === "up" ? item.previousElementSibling : item.nextElementSibling;
  if (!other?.matches("[data-item]")) return;
  if (button.dataset.move === "up") other.before(item);
  else other.after(item);
  button.focus();
  changed(item);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.(".editor button");
  if (!button) return;
  if (button.hasAttribute("data-add")) add(button);
  else if (button.hasAttribute("data-remove")) remove(button);
  else if (button.hasAttribute("data-move")) move(button);
});
