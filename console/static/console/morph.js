// Updates the content of an element without replacing unchanged parts: focus, selection and scroll positions are kept.

import { Idiomorph } from "../vendor/idiomorph-0.8.0.esm.js";

// Focusable elements and rows need ids.
export function morph(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined)
    .map((child) => child instanceof Node ? child : document.createTextNode(child));
  Idiomorph.morph(container, wanted, { morphStyle: "innerHTML" });
  if (focused?.id && document.activeElement !== focused) document.getElementById(focused.id)?.focus({ preventScroll: true });
}
