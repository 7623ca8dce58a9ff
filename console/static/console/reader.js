// The reader of a document: a link beside each heading that leads to its section.

import "./passages.js";
import { say } from "./texts.js";

for (const heading of document.querySelectorAll(".doc-content :is(h2, h3, h4, h5, h6)[id]")) {
  const link = document.createElement("a");
  link.className = "permalink";
  link.href = `#${encodeURIComponent(heading.id)}`;
  link.textContent = "#";
  link.setAttribute("aria-label", say("Link to “{heading}”", { heading: heading.textContent }));
  heading.append(link);
}
