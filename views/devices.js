/* Notices sessions of this user that begin or end in other browsers, and shows the list again. */

const LOOK_EVERY_MS = 1500;

const list = () => document.querySelector("#devices");
const handlesIn = (/** @type {Element | null} */ element) =>
  Array.from(element?.querySelectorAll("[data-handle]") ?? [], (item) => item.getAttribute("data-handle")).join();

async function look() {
  const shown = list();
  if (shown !== null && !document.hidden) {
    const response = await fetch("/sessions", { headers: { Accept: "application/json" } });
    const { sessions = [] } = await response.json();
    const handles = sessions.map((/** @type {{ handle: string }} */ { handle }) => handle).join();
    if (response.ok && handles !== handlesIn(shown)) await showAgain(shown);
  }
}

/** @param {Element} shown */
async function showAgain(shown) {
  const response = await fetch("/?refresh=false", { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("#devices");
  // If a form was sent meanwhile, its reply is newer than this.
  if (fresh !== null && shown.isConnected) shown.replaceWith(fresh);
}

/** An outage is shown by the rest of the page; the list comes back by itself. */
function lookAgain() {
  setTimeout(
    () =>
      void look()
        .catch(() => {})
        .finally(lookAgain),
    LOOK_EVERY_MS,
  );
}
lookAgain();
