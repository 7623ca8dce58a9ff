// Files of a form: uploaded one by one with their progress, shown as rows, and removed again.

import { Problem, uploadHeaders } from "./api.js";
import { make } from "./dom.js";
import { say } from "./texts.js";

const PATH = "/api/v1/files";
const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

function call(method, path, { body = null, headers = {}, onProgress = () => {} } = {}) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open(method, path);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", csrf());
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    request.onload = () => (request.status < 300 ? resolve(request.response)
      : reject(new Problem({ status: request.status, detail: say("The server responded with {status}.", { status: request.status }), ...request.response })));
    request.onerror = () => reject(new Problem({ status: 0, detail: say("The server is not reachable. Try again when the connection is back.") }));
    request.onabort = () => resolve(null);
    request.send(body);
  });
  return { done, abort: () => request.abort() };
}

const size = (bytes) => (bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`);

function facts({ size: bytes, pages, characters, notes }) {
  const text = characters ? say("{count} characters", { count: characters.toLocaleString(document.documentElement.lang) })
    : say("no text that can be read");
  const sheets = !pages ? "" : pages === 1 ? say("1 page") : say("{count} pages", { count: pages });
  return [size(bytes), sheets, text, ...notes].filter(Boolean).join(" · ");
}

const running = new Set(); // uploads whose file is not there yet
const aborts = new WeakMap(); // by row

export const isUploading = () => running.size > 0;

function rowOf(file) {
  const remove = make("button", { type: "button", class: "quiet", "data-remove-file": "", "aria-label": say("Remove {name}", { name: file.name }) }, "✕");
  const text = make("span", { class: "hint", role: "status" });
  const progress = make("progress", { max: 1, value: 0, "aria-label": say("Upload of {name}", { name: file.name }) });
  return { row: make("li", {}, make("strong", { dir: "auto" }, file.name), " ", text, progress, remove), text, progress };
}

// Uploads a file, and shows it as a row of the list. `changed` is called when the form has it.
export async function upload(file, { list, changed }) {
  const { row, text, progress } = rowOf(file);
  list.append(row);
  const body = new FormData();
  body.append("file", file);
  const sent = call("POST", PATH, { body, headers: uploadHeaders(file), onProgress: (part) => { progress.value = part; } });
  aborts.set(row, sent.abort);
  running.add(row);
  try {
    const details = await sent.done;
    if (!details) return; // removed meanwhile
    text.textContent = facts(details);
    row.append(make("input", { type: "hidden", name: "input.files", value: details.id }));
    running.delete(row);
    changed();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    text.className = "fault";
    text.textContent = say("Not added. {reason}", { reason: error.errors.map((each) => each.detail).join(" ") || error.message });
  } finally {
    running.delete(row);
    progress.remove();
  }
}

// Removes a file from the form. One that was uploaded is deleted, unless it is used already.
export function removeFile(row) {
  aborts.get(row)?.();
  const id = row.querySelector("input")?.value;
  if (id) call("DELETE", `${PATH}/${id}`).done.catch(() => {}); // else it is deleted unused
  row.remove();
}
