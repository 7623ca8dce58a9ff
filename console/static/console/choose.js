// A button that chooses all boxes of a name, or none if all are chosen: `data-choose-all="ids"`. After an act on the chosen
// none is chosen.

const boxesOf = (button) => [...document.getElementsByName(button.dataset.chooseAll)];

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-choose-all]");
  if (!button) return;
  const boxes = boxesOf(button);
  const all = boxes.every((each) => each.checked);
  for (const each of boxes) each.checked = !all;
});

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.request?.method !== "POST" || ctx.response?.status !== 200) return;
  for (const button of document.querySelectorAll("[data-choose-all]")) {
    for (const each of boxesOf(button)) each.checked = false;
  }
});
