// What people have written and not sent yet. This browser keeps it for the user: when the session ends, and when the page
// is left. It goes when it was sent, when the user logs out, or after some days.

import { tell } from "./faults.js";

const PREFIX = "unsent/";
const KEPT_MS = 7 * 24 * 3600 * 1000;

const mine = () => `${PREFIX}${document.body.dataset.user}/`;

export function unsent(name) {
  const found = localStorage.getItem(mine() + name);
  return found === null ? null : JSON.parse(found);
}

function store(name, record) {
  try {
    localStorage.setItem(mine() + name, JSON.stringify({ ...record, at: Date.now() }));
  } catch (error) {
    if (error.name !== "QuotaExceededError") throw error;
    tell("This browser's storage is full: what you write is lost when the page is left.");
  }
}

export const forget = (name) => localStorage.removeItem(mine() + name);

// All that this user has not sent.
export function forgetAll() {
  for (const key of Object.keys(localStorage)) if (key.startsWith(mine())) localStorage.removeItem(key);
}

// What is too old, of every user.
export function forgetOld() {
  for (const key of Object.keys(localStorage).filter((each) => each.startsWith(PREFIX))) {
    if (Date.now() - JSON.parse(localStorage.getItem(key)).at > KEPT_MS) localStorage.removeItem(key);
  }
}

const fields = (form) => [...form.elements].filter((each) => each.name && each.type !== "file");
const isChoice = (field) => ["checkbox", "radio"].includes(field.type);

function values(form) {
  const found = {};
  for (const field of fields(form)) {
    found[field.name] ??= [];
    if (!isChoice(field) || field.checked) found[field.name].push(field.value);
  }
  return found;
}

function fill(form, kept) {
  for (const field of fields(form)) {
    const given = kept[field.name];
    if (given === undefined) continue;
    if (isChoice(field)) field.checked = given.includes(field.value);
    else [field.value] = given;
  }
}

// Fills a form with what was written into it before, and keeps from now on what is. `more` is kept with it.
// Returns what saves it by hand, after a script has changed a field.
export function keep(form, name, more = () => ({})) {
  const kept = unsent(name);
  if (kept) {
    fill(form, kept.values);
    form.dataset.edited = "true";
  }
  const save = () => {
    form.dataset.edited = "true";
    store(name, { ...more(), values: values(form) });
  };
  form.addEventListener("input", save);
  return save;
}
