// Pages of scopes and of the account: secrets are copied, and what was done is told where the focus is.

import { say } from "./texts.js";

const status = (button, text) => { button.textContent = text; };

async function copy(button) {
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    status(button, say("Copied"));
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    status(button, document.execCommand("copy") ? say("Copied") : say("Press Ctrl+C")); // without a secure context, or without leave
  }
}

// Buttons that need this script are hidden until it runs.
const showCopies = () => { for (const each of document.querySelectorAll("[data-copy]")) each.hidden = false; };

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  showCopies();
  if (ctx.request?.method === "POST" && ctx.response?.status === 200) document.querySelector("[data-told]")?.focus();
});

showCopies();
document.querySelector("[data-told]")?.focus();
