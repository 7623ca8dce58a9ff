// The inbox: keys, files as answers, and the text of an overtaken form.

import { Problem, upload } from "./api.js";
import { tell } from "./faults.js";
import { say } from "./texts.js";
import "./choose.js";

const links = () => [...document.querySelectorAll("#entries a.open")];

// `j` and `k` move the focus in the list, from the entry that has it, or from the one that is shown. Enter follows the link.
function move(step) {
  const all = links();
  const focused = all.indexOf(document.activeElement);
  const from = focused < 0 ? all.findIndex((each) => each.hasAttribute("aria-current")) : focused;
  all[Math.min(Math.max(from + step, 0), all.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
});

document.addEventListener("click", ({ target }) => {
  const copy = target.closest("[data-copy]");
  if (copy) copyText(copy.nextElementSibling);
});

// What was typed, for an entry that another person has settled.
async function copyText(told) {
  const fields = [...document.querySelectorAll("#thing :is(textarea, input:is([type=text], [type=date], :not([type])))")];
  const text = fields.map((each) => each.value.trim()).filter(Boolean).join("\n\n");
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    told.textContent = say("Copied.");
  } else { // pages without TLS have no clipboard
    fields.find((each) => each.value.trim())?.select();
    told.textContent = say("Your text is selected: copy it with the keyboard.");
  }
}

// A chosen file is uploaded at once; its id is the answer.
document.addEventListener("change", async ({ target }) => {
  if (!target.matches("[data-upload]") || !target.files.length) return;
  const answer = target.nextElementSibling;
  const told = answer.nextElementSibling;
  const [file] = target.files;
  const { form } = target;
  const button = form.querySelector("button.primary");
  if (button) button.disabled = true;
  told.textContent = say("{name} is being uploaded …", { name: file.name });
  try {
    answer.value = (await upload(file)).id;
    told.textContent = say("{name} is uploaded.", { name: file.name });
    answer.dispatchEvent(new Event("input", { bubbles: true }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    told.textContent = "";
    tell(error.message);
  } finally {
    if (button) button.disabled = false;
  }
});

document.querySelector("#entries [aria-current].open")?.scrollIntoView({ block: "nearest" });
