// Code of every page: the count of the inbox, and removal of unsent input at logout.

import { Problem, reach } from "./api.js";
import { forgetAll, forgetOld } from "./unsent.js";

const COUNT_MS = 10_000;

async function count() {
  try {
    const response = await reach("/inbox/count/", { headers: { Accept: "application/json" }, redirect: "error" });
    if (response.ok) document.getElementById("waiting-count").textContent = (await response.json()).waiting;
  } catch (error) {
    if (!(error instanceof Problem)) throw error; // the number stays; the page reports the outage
  }
}

forgetOld();
document.getElementById("log-out").addEventListener("submit", forgetAll);
setInterval(() => { if (!document.hidden) count(); }, COUNT_MS);
