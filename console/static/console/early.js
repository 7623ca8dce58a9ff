// Holds a form that is sent before the scripts of its page are here, and sends it when they are: the browser would send
// it by itself, and a session that has ended would take the input with it. No module: it runs before the page is shown.

(() => {
  let held = null;
  const hold = (event) => {
    if (!event.target.closest("[data-draft]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    held = { form: event.target, submitter: event.submitter };
  };
  addEventListener("submit", hold, true);
  document.addEventListener("DOMContentLoaded", () => setTimeout(() => { // after the other scripts have seen the page
    removeEventListener("submit", hold, true);
    if (held?.form.isConnected && !held.form.closest("[inert]")) held.form.requestSubmit(held.submitter);
  }));
})();
