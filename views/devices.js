/*
 * Notices sessions of this user that begin or end in other browsers. It looks at the page and not at /sessions, which is
 * an error once the session has ended: browsers report those in their console.
 */

const LOOK_EVERY_MS = 1500;

/** @param {ParentNode} root */
const listIn = (root) => root.querySelector("#devices");

/** @param {Element | null} list */
const handlesIn = (list) =>
  Array.from(list?.querySelectorAll("[data-handle]") ?? [], (item) => item.getAttribute("data-handle")).join();

async function look() {
  const shown = listIn(document);
  if (shown === null || document.hidden) return;
  const response = await fetch("/?refresh=false", { headers: { Accept: "text/html" } });
  const fresh = listIn(new DOMParser().parseFromString(await response.text(), "text/html"));
  // If it is no longer there, a form was sent meanwhile, and its reply is newer than this one.
  if (fresh !== null && shown.isConnected && handlesIn(fresh) !== handlesIn(shown)) shown.replaceWith(fresh);
}

/** An outage is reported by the rest of the page; the list is up to date again after it. */
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
