// New content for a place, without replacing what stays the same: focus, selection and scrolling survive.

import { Idiomorph } from "../vendor/idiomorph-0.8.0.esm.js";

// Elements that can be focused need an id of their own, and so do rows.
export function morph(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined)
    .map((child) => child instanceof Node ? child : document.createTextNode(child));
  Idiomorph.morph(place, wanted, { morphStyle: "innerHTML" });
  if (focused?.id && document.activeElement !== focused) document.getElementById(focused.id)?.focus({ preventScroll: true });
}
