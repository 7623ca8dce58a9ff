// Unsent input of forms. The browser stores it for the user, also after the end of a session or page. It is removed when
// the form is sent, when the user logs out, or after some days.

import { tell } from "./faults.js";
import { say } from "./texts.js";

const PREFIX = "unsent/";
const RETENTION_MS = 7 * 24 * 3600 * 1000;

const mine = () => `${PREFIX}${document.body.dataset.user}/`;

export function unsent(name) {
  const found = localStorage.getItem(mine() + name);
  return found === null ? null : JSON.parse(found);
}

// Returns whether the browser has stored it.
export function store(name, record) {
  try {
    localStorage.setItem(mine() + name, JSON.stringify({ ...record, at: Date.now() }));
    return true;
  } catch (error) {
    if (error.name !== "QuotaExceededError") throw error;
    tell(say("This browser's storage is full: your input is lost when you leave the page."));
    return false;
  }
}

export const forget = (name) => localStorage.removeItem(mine() + name);

// Removes all unsent input of this user.
export function forgetAll() {
  for (const key of Object.keys(localStorage)) if (key.startsWith(mine())) localStorage.removeItem(key);
}

// Removes expired input of all users.
export function forgetOld() {
  for (const key of Object.keys(localStorage).filter((each) => each.startsWith(PREFIX))) {
    if (Date.now() - JSON.parse(localStorage.getItem(key)).at > RETENTION_MS) localStorage.removeItem(key);
  }
}

// Returns the names with this beginning under which input was saved, the newest first.
export function saved(beginning) {
  const names = Object.keys(localStorage).filter((key) => key.startsWith(mine() + beginning));
  const at = (key) => JSON.parse(localStorage.getItem(key)).at;
  return names.sort((a, b) => at(b) - at(a)).map((key) => key.slice(mine().length));
}

const isChoice = (field) => ["checkbox", "radio"].includes(field.type);

// Whether a field has another value than the server gave it.
export function isChanged(field) {
  if (isChoice(field)) return field.checked !== field.defaultChecked;
  if (field.localName !== "select") return field.value !== field.defaultValue;
  const chosen = [...field.options].findIndex((each) => each.defaultSelected);
  return field.selectedIndex !== Math.max(chosen, 0);
}
