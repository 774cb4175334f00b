/*
 * The live part of the page, whose forms work without it. It sends them without a reload, counts the time down, and
 * looks each second at what Redis holds. A look never extends the session; the switch shows what a read does. All
 * HTML comes from the server.
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
/** The look that is under way. */
let looking = new AbortController();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let nextLook;
/** Whether a form is under way: until its answer is here, no other is sent. */
let isSending = false;
let isWaitingForRedis = false;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const stage = () => /** @type {HTMLElement} */ (document.querySelector("main"));
const isLive = () => stage().dataset["state"] === "live";
const endsIn = () => Math.min(...ends) - performance.now();

/**
 * Puts a new `main` in the place of the old one, marks the fields that changed, says what happened.
 *
 * @param {Element} main
 */
function show(main) {
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

/** Looks again in a second, or just when the session should end. */
function lookAgain() {
  clearTimeout(nextLook);
  const untilEnd = endsIn();
  nextLook = setTimeout(look, untilEnd > 0 ? Math.min(untilEnd + DRAW_EVERY_MS / 2, LOOK_EVERY_MS) : LOOK_EVERY_MS);
}

async function look() {
  if (document.hidden || isSending || !isLive()) return;
  const from = generation;
  looking = new AbortController();
  const { signal } = looking;
  try {
    const response = await fetch(`/session?refresh=${reads}`, { headers: { Accept: "application/json" }, signal });
    const { error, authenticated, session_id, session, ttl } = await response.json();
    if (from !== generation) return;
    showOutage(response.ok ? "" : error);
    if (response.ok && !authenticated) return showEnd();
    if (response.ok && (session_id !== stage().dataset["sessionId"] || isNews(session, ttl))) await showNews(signal);
  } catch {
    if (from === generation && !signal.aborted) showOutage("The server does not answer. This page keeps trying.");
  }
  if (from === generation && !isSending) lookAgain();
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

/**
 * Shows what Redis holds now, without using the session, and leaves alone what somebody is typing and what the last
 * click cost.
 *
 * @param {AbortSignal} signal
 */
async function showNews(signal) {
  const response = await fetch("/?refresh=false", { headers: { Accept: "text/html" }, signal });
  const main = mainIn(await response.text());
  if (!response.ok || main === null) return;
  const box = document.activeElement;
  const sameBox = box instanceof HTMLInputElement && box.id ? main.querySelector(`#${box.id}`) : null;
  if (box && sameBox) sameBox.replaceWith(box.cloneNode());
  main.querySelector("#wires")?.replaceChildren();
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
  if (main) show(main);
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
  if (!isSending) void send(/** @type {HTMLFormElement} */ (event.target), event.submitter);
});

/**
 * A look that is under way is given up first: it goes by the old session ID, and its answer, coming late, could clear
 * the cookie that the form's answer sets.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
async function send(form, submitter) {
  isSending = true;
  looking.abort();
  // @ts-expect-error URLSearchParams takes a form's data where it holds no files.
  const body = new URLSearchParams(new FormData(form, submitter));
  try {
    const response = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body });
    const main = mainIn(await response.text());
    const isOut = response.status === 503 || main === null;
    showOutage(isOut ? (main?.querySelector("h2")?.textContent ?? "The server does not answer.") : "");
    if (!isOut) show(main);
  } catch {
    showOutage("The server does not answer. Try again in a moment.");
  }
  isSending = false;
  if (isLive()) lookAgain();
  else if (!byId("outage").hidden) void waitForRedis();
}

/** Takes the words about an outage away once it is over; on a page that is nothing but such words, begins anew. */
async function waitForRedis() {
  if (isWaitingForRedis) return;
  isWaitingForRedis = true;
  while (!(await isHealthy())) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  isWaitingForRedis = false;
  if (stage().dataset["status"] === "503") location.reload();
  else showOutage("");
}

const isHealthy = () =>
  fetch("/healthz").then(
    ({ ok }) => ok,
    () => false,
  );

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
