// Files of a brief: uploaded one by one with their progress, listed, and removed again.

import { Problem, uploadHeaders } from "./api.js";
import { make } from "./dom.js";

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
      : reject(new Problem({ status: request.status, detail: `The server responded with ${request.status}.`, ...request.response })));
    request.onerror = () => reject(new Problem({ status: 0, detail: "The server is not reachable. Try again when the connection is back." }));
    request.onabort = () => resolve(null);
    request.send(body);
  });
  return { done, abort: () => request.abort() };
}

const size = (bytes) => (bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`);

function facts({ size: bytes, pages, characters, notes }) {
  const text = characters ? `${characters.toLocaleString()} characters` : "no text that can be read";
  return [size(bytes), pages ? `${pages} ${pages === 1 ? "page" : "pages"}` : "", text, ...notes].filter(Boolean).join(" · ");
}

// Returns the files of a form: `list` shows them, `changed` is called after each change.
export function uploads({ list, input, area, changed }) {
  const files = []; // { name, details, isFailed, abort }

  function entry(file) {
    const remove = make("button", { type: "button", class: "quiet", "aria-label": `Remove ${file.name}` }, "✕");
    const text = make("span", { class: "hint", role: "status" });
    const progress = make("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
    const row = make("li", {}, make("strong", { dir: "auto" }, file.name), " ", text, progress, remove);
    remove.addEventListener("click", () => {
      files.splice(files.indexOf(file), 1);
      file.abort?.();
      if (file.details) call("DELETE", `${PATH}/${file.details.id}`).done.catch(() => {}); // else it is deleted unused
      row.remove();
      input.focus();
      changed();
    });
    list.append(row);
    return { row, text, progress };
  }

  function show({ text, progress }, file) {
    progress.remove();
    text.textContent = facts(file.details);
  }

  async function upload(picked) {
    const file = { name: picked.name, details: null };
    const shown = entry(file);
    files.push(file);
    const body = new FormData();
    body.append("file", picked);
    const sent = call("POST", PATH, { body, headers: uploadHeaders(picked), onProgress: (part) => { shown.progress.value = part; } });
    file.abort = sent.abort;
    try {
      file.details = await sent.done;
      if (file.details) show(shown, file);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      file.isFailed = true;
      shown.progress.remove();
      shown.text.className = "fault";
      shown.text.textContent = `Not added. ${error.errors.map((each) => each.detail).join(" ") || error.message}`;
    }
    changed();
  }

  input.addEventListener("change", () => {
    for (const picked of input.files) upload(picked);
    input.value = "";
  });
  area.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    area.classList.add("dropping");
  });
  area.addEventListener("dragleave", (event) => { if (!area.contains(event.relatedTarget)) area.classList.remove("dropping"); });
  area.addEventListener("drop", (event) => {
    area.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    for (const picked of event.dataTransfer.files) upload(picked);
  });

  return {
    get isBusy() { return files.some((file) => !file.details && !file.isFailed); },
    get ids() { return files.filter((file) => file.details).map((file) => file.details.id); },
    get kept() { return files.filter((file) => file.details).map(({ details }) => details); },
    restore(kept) {
      for (const details of kept) {
        const file = { name: details.name, details };
        files.push(file);
        show(entry(file), file);
      }
    },
    clear() {
      files.splice(0);
      list.replaceChildren();
    },
  };
}
