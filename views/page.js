/*
 * The live part of the page; everything but the countdown works without it. It sends the forms without a reload,
 * counts the time down, and looks each second at what Redis holds. A look never extends the session; the switch
 * "read instead" shows the difference. All HTML comes from the server.
 */

const LOOK_EVERY_MS = 1000;
const DRAW_EVERY_MS = 100;
const LONGEST_HISTORY = 6;

/** When each clock runs out, and the session with the first. On the time line of `performance.now()`. */
let ends = [0];
/** Whether the page reads instead of looking. */
let reads = false;
/** Counts what was shown, so that the answer to a look from before is not taken for news. */
let generation = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let nextLook;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const stage = () => /** @type {HTMLElement} */ (document.querySelector("main"));
const isLive = () => stage().dataset["state"] === "live";
const endsIn = () => Math.min(...ends) - performance.now();

/**
 * Puts a new `main` in the place of the old one, marks the fields that changed, says what happened.
 *
 * @param {Element | null} main
 */
function show(main) {
  if (main === null) return;
  const before = fieldsShown();
  const history = stage().querySelectorAll("#wires > li");
  const focused = document.activeElement;
  const hadFocus = stage().contains(focused);
  stage().replaceWith(main);

  for (const [field, value] of before.size > 0 ? fieldsShown() : []) {
    if (before.get(field) !== value)
      main.querySelector(`[data-field="${CSS.escape(field)}"]`)?.classList.add("changed");
  }
  const wires = main.querySelector("#wires");
  wires?.append(...history);
  for (const old of Array.from(wires?.children ?? []).slice(LONGEST_HISTORY)) old.remove();
  if (hadFocus) (document.getElementById(focused?.id ?? "") ?? byId("you")).focus();
  const news = main.querySelector(".mistake, .news")?.textContent?.trim() ?? "";
  if (byId("status").textContent !== news) byId("status").textContent = news;
  begin();
}

/** Starts to live with what the page shows now. */
function begin() {
  generation += 1;
  clearTimeout(nextLook);
  if (!isLive()) return;
  ends = clocks().map((clock) => performance.now() + Number(clock.dataset["left"]));
  for (const hidden of stage().querySelectorAll(".live-only")) hidden.removeAttribute("hidden");
  const reading = /** @type {HTMLInputElement} */ (byId("reads"));
  reading.checked = reads;
  reading.addEventListener("change", () => {
    reads = reading.checked;
    void look();
  });
  draw();
  lookAgain();
}

function lookAgain() {
  clearTimeout(nextLook);
  nextLook = setTimeout(look, Math.max(DRAW_EVERY_MS, Math.min(LOOK_EVERY_MS, endsIn())));
}

async function look() {
  if (document.hidden || !isLive()) return;
  const from = generation;
  try {
    const response = await fetch(`/session?refresh=${reads}`, { headers: { Accept: "application/json" } });
    const { error, authenticated, session_id, session, ttl } = await response.json();
    if (from !== generation) return;
    showOutage(response.ok ? "" : error);
    if (response.ok) {
      if (!authenticated) return showEnd();
      if (session_id !== stage().dataset["sessionId"] || isNews(session, ttl)) return await reload();
    }
  } catch {
    if (from === generation) showOutage("The server does not answer. This page keeps trying.");
  }
  if (from === generation) lookAgain();
}

/**
 * Whether Redis holds something else than the page shows. Redis' TTL is in seconds, rounded up.
 *
 * @param {Record<string, string>} session
 * @param {number} ttl
 */
function isNews(session, ttl) {
  const shown = fieldsShown();
  const fields = Object.entries(session).filter(([field]) => field !== "ttl");
  const drift = ttl * 1000 - endsIn();
  return (
    drift < -500 ||
    drift > 1500 ||
    fields.length !== shown.size ||
    fields.some(([field, value]) => shown.get(field) !== value)
  );
}

/** Shows what Redis holds now, without using the session, and leaves alone what somebody is typing. */
async function reload() {
  const response = await fetch("/?refresh=false", { headers: { Accept: "text/html" } });
  if (response.status === 503) return lookAgain();
  const main = mainIn(await response.text());
  const box = document.activeElement;
  const sameBox = box instanceof HTMLInputElement && box.id ? main?.querySelector(`#${box.id}`) : null;
  if (box && sameBox) sameBox.replaceWith(box.cloneNode());
  show(main);
}

/** The session is gone. The page brought along what to show then, and knows whether its time was up. */
function showEnd() {
  const wasItsTime = endsIn() < LOOK_EVERY_MS;
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("ended"));
  const main = /** @type {DocumentFragment} */ (template.content.cloneNode(true)).querySelector("main");
  main?.querySelector(`[data-reason="${wasItsTime ? "elsewhere" : "expired"}"]`)?.remove();
  const when = main?.querySelector(".when");
  if (when) when.textContent = ` at ${new Date().toLocaleTimeString()}`;
  show(main);
}

function draw() {
  if (!isLive()) return;
  clocks().forEach((clock, index) => {
    const left = Math.max(0, (ends[index] ?? 0) - performance.now());
    const seconds = left / 1000;
    /** @type {HTMLElement} */ (clock.querySelector(".left")).textContent =
      seconds < 10 ? seconds.toFixed(1) : String(Math.ceil(seconds));
    /** @type {HTMLProgressElement} */ (clock.querySelector("progress")).value = left;
  });
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  void send(/** @type {HTMLFormElement} */ (event.target), event.submitter);
});

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
async function send(form, submitter) {
  // @ts-expect-error URLSearchParams takes a form's data where it holds no files.
  const body = new URLSearchParams(new FormData(form, submitter));
  try {
    const response = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body });
    const main = mainIn(await response.text());
    if (response.status === 503) {
      showOutage(main?.querySelector("h2")?.textContent ?? "");
      return waitForRedis();
    }
    showOutage("");
    show(main);
  } catch {
    showOutage("The server does not answer. Try again in a moment.");
  }
}

/** Takes the words about an outage away once it is over; on a page that is nothing but such words, begins anew. */
async function waitForRedis() {
  const isBack = await fetch("/healthz").then(
    ({ ok }) => ok,
    () => false,
  );
  if (!isBack) setTimeout(waitForRedis, LOOK_EVERY_MS);
  else if (stage().dataset["status"] === "503") location.reload();
  else showOutage("");
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(nextLook);
  void look();
});

/** @param {string} html */
const mainIn = (html) => new DOMParser().parseFromString(html, "text/html").querySelector("main");

const clocks = () => Array.from(/** @type {NodeListOf<HTMLElement>} */ (stage().querySelectorAll(".clock")));

const fieldsShown = () => {
  const rows = Array.from(/** @type {NodeListOf<HTMLElement>} */ (stage().querySelectorAll("[data-field]")));
  return new Map(rows.map((row) => [row.dataset["field"] ?? "", row.querySelector("td")?.textContent ?? ""]));
};

/** @param {string} text */
function showOutage(text) {
  byId("outage").textContent = text;
  byId("outage").hidden = text === "";
}

setInterval(draw, DRAW_EVERY_MS);
begin();
if (stage().dataset["status"] === "503") void waitForRedis();
