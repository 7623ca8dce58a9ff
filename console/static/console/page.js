// What every page does: it counts what waits for people, and forgets what was not sent when the user logs out.

import { Problem, reach } from "./api.js";
import { forgetAll, forgetOld } from "./unsent.js";

const COUNT_MS = 10_000;

async function count() {
  try {
    const response = await reach("/questions/count/", { headers: { Accept: "application/json" }, redirect: "error" });
    if (response.ok) document.getElementById("waiting-count").textContent = (await response.json()).waiting;
  } catch (error) {
    if (!(error instanceof Problem)) throw error; // the number stays as it was; the page itself says that the server is away
  }
}

forgetOld();
document.getElementById("log-out").addEventListener("submit", forgetAll);
setInterval(() => { if (!document.hidden) count(); }, COUNT_MS);
