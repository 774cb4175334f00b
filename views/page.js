/*
 * The page in the browser. Its forms work without this script, which sends them without a reload, counts the time down,
 * draws the timeline, and peeks each second at what Redis holds: the session, and the list of its user's sessions. A
 * peek never extends the session. All HTML comes from the server.
 */

const POLL_MS = 1000;
const DRAW_MS = 100;
const CALM_DRAW_MS = 1000;
/** Until the first peek after a page load, which brings the list of sessions. */
const FIRST_PEEK_MS = 100;
/** How long to wait after the end before asking for the session: Redis may delete a key some milliseconds late. */
const RETRY_END_MS = 50;
/** Between what Redis says and what the page shows, apart from the rounding of the TTL to whole seconds. */
const CLOCK_TOLERANCE_MS = 250;
/** A smaller move of the expiry may be a reply that was shown late. */
const MOVED_MS = 1000;
const REDIS_DOWN = "Redis cannot be used at the moment.";
const UNCERTAIN = "It is not certain whether your last click took effect.";
const MAX_COSTS = 6;
/** The last seconds look like the last seconds: a third of the timeout, and these milliseconds at most. */
const LAST_MS = 5000;

/** @typedef {import("./timeline.js").Observation} Observation */
/**
 * What made the page show something else. `isUnasked`: nobody clicked. `reason`: why the session ended, if it did.
 *
 * @typedef {{ request: string, kind: Observation["kind"], isUnasked?: boolean, reason?: string }} Cause
 */

/** @typedef {{ handle: string, last_accessed_at: string, ttl: number }} SessionSummary */

/** @type {Record<string, Observation["kind"]>} */
const KIND_OF_FORM = { "/login": "start", "/ttl": "ttl", "/rotate": "rotate" };

/** @type {Record<string, string>} */
const END_CAUSES = {
  idle: "nobody used the session for as long as its idle timeout",
  absolute: "the absolute timeout",
  elsewhere: "something else than a timeout, before its time",
  unknown: "while this page was not watching",
  lost: "lost while Redis was unavailable, or deleted",
  tab: "in another tab",
  logout: "POST /logout",
};

/** When the session ends by each timeout, on the clock of `performance.now()`. */
let ends = { idle: 0, absolute: 0 };
/** When Redis was last asked and had the session. */
let lastSeenAt = 0;
/** When the last outage was noticed. */
let lastOutageAt = Number.NEGATIVE_INFINITY;
/** Redis' time at a moment of `performance.now()`. The clock of the browser may be wrong, or be set. */
let redisClock = { time: Date.now(), at: performance.now() };
/** Increases when the page shows something new. The reply to a request that was sent before is outdated then. */
let generation = 0;
let poll = new AbortController();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let nextPoll;
/** Until the reply to a form is here, no other form is sent. */
let isSending = false;
/** Where the form of the last click is sent. */
let clickedAction = "";
let readsEachSecond = false;

/** There is nothing to watch on the page of the script and on error pages, but for the one that says 503. */
const isWatching = document.querySelector("#session, [data-status='503']") !== null;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const mainElement = () => /** @type {HTMLElement} */ (document.querySelector("main"));
const session = () => document.getElementById("session");
const isUnknown = () => session()?.dataset["state"] === "unknown";
const isLive = () => session()?.dataset["state"] === "live";
const isOutage = () => !byId("outage").hidden;
/** Stands in the place of the list of sessions, until that is read. */
const listLink = () => document.getElementById("list-sessions");
const expiresAt = () => Math.min(ends.idle, ends.absolute);

/** @type {typeof import("./timeline.js")} */
const { DELAY_MS, formatSeconds, TimelineChart } = await import(
  /** @type {HTMLLinkElement} */ (byId("timeline-module")).href
);

/** The timeline stays the same element, whatever is shown around it. An error page has none. */
const timelineFigure = document.getElementById("timeline");
const chart = timelineFigure && new TimelineChart(timelineFigure);

const otherTabs = new BroadcastChannel("sessions");
/** The cookie may have changed. @param {string} [action] Where a form was sent, if one was. */
const tellOtherTabs = (action = "") => otherTabs.postMessage(action); // oxlint-disable-line unicorn/require-post-message-target-origin -- no window

/**
 * Shows a new `main`. The timeline moves over, and so does what only this page knows.
 *
 * @param {Element} newMain
 * @param {Cause} cause
 */
function show(newMain, cause) {
  const wasLive = isLive();
  const oldMain = mainElement();
  const oldFields = shownFields();
  for (const { id } of oldMain.querySelectorAll("details[id][open]")) {
    newMain.querySelector(`#${id}`)?.setAttribute("open", "");
  }
  keepFocus(() => {
    if (timelineFigure) newMain.querySelector("#timeline")?.replaceWith(timelineFigure);
    keepList(newMain, oldMain);
    keepCosts(newMain, oldMain, cause);
    keepRace(newMain, oldMain, cause);
    keepNotice(newMain, oldMain, cause);
    oldMain.replaceWith(newMain);
  });

  if (oldFields.size > 0) markChanges(oldFields);
  if (!isLive() || cause.kind === "start") readsEachSecond = false; // else no other session would ever idle out
  begin();
  if (!cause.isUnasked || isLive() !== wasLive) announce();
  if (isLive()) observe(cause);
  else if (wasLive) recordEnd(cause.reason ?? (cause.request === "POST /logout" ? "logout" : reasonOfEnd()));
  document.dispatchEvent(new Event("shown"));
}

/**
 * Gives the focus back to the element that had it, or to the one in its place.
 *
 * @param {() => void} change
 */
function keepFocus(change) {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  const isInside = mainElement().contains(focused);
  change();
  if (isInside && document.activeElement !== focused) {
    const next = focused.isConnected ? focused : (document.getElementById(focused.id) ?? byId("you"));
    next.focus({ preventScroll: true }); // somebody may be reading elsewhere
  }
}

/** Starts the countdown and the peeks for what the page shows now. */
function begin() {
  generation += 1;
  const now = performance.now();
  const time = Number(session()?.dataset["now"]);
  if (time > 0) redisClock = { time, at: now };
  if (isLive()) {
    const [idle = 0, absolute = 0] = clocks().map((clock) => now + Number(clock.dataset["left"]));
    ends = { idle, absolute };
    lastSeenAt = now;
  }
  pollLater();
  showMode();
}

/** @param {number} at On the clock of `performance.now()`. */
const redisTime = (at) => redisClock.time + at - redisClock.at;
/** @param {number} at */
const timeOfDay = (at) => `${new Date(redisTime(at)).toISOString().slice(11, 19)} UTC`;

/**
 * Marks in the timeline what the page was just told of the session.
 *
 * @param {Cause} cause
 */
function observe({ kind, request }) {
  const last = chart?.timeline.events.at(-1);
  const gained = last && last.kind !== "end" ? expiresAt() - last.expiresAt : 0;
  const wasMoved = Math.abs(gained) > MOVED_MS;
  if (gained > DELAY_MS && (kind === "use" || (kind === "peek" && wasMoved))) experiment("use");
  chart?.timeline.record({
    kind: kind === "peek" && wasMoved ? "elsewhere" : kind,
    request,
    at: performance.now(),
    expiresAt: expiresAt(),
    idleTimeout: Number(clocks()[0]?.dataset["of"]),
    deadline: ends.absolute,
  });
  draw();
}

/** @param {string} reason */
function recordEnd(reason) {
  const now = performance.now();
  const at = reason === "idle" || reason === "absolute" ? Math.min(expiresAt(), now) : now;
  chart?.timeline.record({ kind: "end", at, cause: END_CAUSES[reason] ?? "" });
  if (reason === "idle") experiment("expire");
  if (reason === "absolute") experiment("absolute");
  draw();
}

/** @param {"expire" | "use" | "absolute" | "race"} detail Its event has happened. */
function experiment(detail) {
  document.dispatchEvent(new CustomEvent("experiment", { detail }));
}

/** Whether a timeout ended the session, as far as this page can know. */
function reasonOfEnd() {
  const now = performance.now();
  if (now < expiresAt() - CLOCK_TOLERANCE_MS) return lastOutageAt > lastSeenAt ? "lost" : "elsewhere";
  if (lastSeenAt < expiresAt() - 2 * POLL_MS) return "unknown";
  return ends.absolute < ends.idle ? "absolute" : "idle";
}

/** Asks again in a second, or just when the session should end. */
function pollLater() {
  clearTimeout(nextPoll);
  nextPoll = setTimeout(pollNow, pollDelay());
}

function pollDelay() {
  if (isOutage() || !isLive()) return POLL_MS;
  if (listLink() !== null) return FIRST_PEEK_MS;
  const untilEnd = expiresAt() - performance.now();
  return untilEnd < -POLL_MS ? POLL_MS : Math.min(Math.max(untilEnd, 0) + RETRY_END_MS, POLL_MS);
}

/** Asks what Redis holds, without using the session. Without a session to ask for, asks whether an outage is over. */
function peek() {
  return ask(async (signal, isOutdated) => {
    const sentAt = performance.now();
    const isWaiting = session() === null || (isOutage() && !isLive());
    const address = isWaiting ? "/healthz" : "/session?refresh=false&sessions=true";
    const response = await fetch(address, { headers: { Accept: "application/json" }, signal });
    const reply = await response.json();
    if (isOutdated()) return;
    if (response.ok && (session() === null || isUnknown())) return location.reload(); // most of the page is missing
    if (session() === null) return;
    showOutage(response.ok ? "" : problemOf(response, reply.error));
    if (!response.ok) return;
    if (!reply.authenticated) return isLive() ? showEnd(signal, isOutdated) : undefined;
    if (hasChanged(reply, sentAt)) return showChange(signal, isOutdated);
    seePeek();
    await showList(reply.sessions, signal, isOutdated);
  });
}

function seePeek() {
  const last = chart?.timeline.events.at(-1);
  lastSeenAt = performance.now();
  if (last && last.kind !== "end") {
    chart?.timeline.record({ ...last, kind: "peek", request: "GET /session?refresh=false", at: lastSeenAt });
  }
}

/** Reads the session, as a page load does: that resets the idle timeout. */
function read() {
  return ask(async (signal, isOutdated) => {
    const response = await fetch("/?sessions=true", { headers: { Accept: "text/html" }, signal });
    const newMain = mainIn(await response.text());
    if (isOutdated()) return;
    const isUsable = response.ok && newMain !== null;
    showOutage(isUsable ? "" : problemOf(response, headingOf(newMain)));
    if (!isUsable) return;
    const isGone = newMain.querySelector("[data-state='live']") === null;
    if (isGone) await showEnd(signal, isOutdated);
    else showKeepingInput(newMain, { request: "GET /", kind: "use", isUnasked: true });
  });
}

/**
 * Runs one poll and plans the next one. A reply is outdated if something else was shown while it was under way.
 *
 * @param {(signal: AbortSignal, isOutdated: () => boolean) => Promise<void>} request
 */
async function ask(request) {
  if (document.hidden || isSending || !isWatching) return;
  const from = generation;
  poll = new AbortController();
  const { signal } = poll;
  const isOutdated = () => from !== generation || signal.aborted;
  try {
    await request(signal, isOutdated);
  } catch {
    if (!isOutdated()) showOutage("The server does not answer. This page keeps trying.");
  }
  if (!isOutdated()) pollLater();
}

/**
 * Whether Redis holds something else than the page shows.
 *
 * @param {{ session_id: string, session: Record<string, string>, ttl: number }} reply `ttl` in seconds, rounded up
 * @param {number} sentAt
 */
function hasChanged({ session_id, session: fields, ttl }, sentAt) {
  if (session_id !== session()?.dataset["sessionId"] || !isLive()) return true;
  const shown = shownFields();
  const held = Object.entries(fields).filter(([field]) => field !== "ttl");
  const isTooEarly = ttl * 1000 < expiresAt() - performance.now() - CLOCK_TOLERANCE_MS;
  const isTooLate = (ttl - 1) * 1000 > expiresAt() - sentAt + CLOCK_TOLERANCE_MS;
  return (
    isTooEarly || isTooLate || held.length !== shown.size || held.some(([field, value]) => shown.get(field) !== value)
  );
}

/**
 * Shows what Redis holds now, without using the session.
 *
 * @param {AbortSignal} signal
 * @param {() => boolean} isOutdated
 */
async function showChange(signal, isOutdated) {
  const newMain = await peekAtPage(signal);
  if (newMain === null || isOutdated()) return;
  newMain.querySelector("#costs")?.replaceChildren();
  /** @type {Cause} */
  const cause = isLive()
    ? { request: "GET /?refresh=false", kind: "peek" }
    : { request: "In another tab", kind: "start" };
  showKeepingInput(newMain, { ...cause, isUnasked: true });
}

/**
 * Shows the sessions of the user. If the list is the same, updates only the times.
 *
 * @param {SessionSummary[] | undefined} sessions Undefined if Redis cannot list them.
 * @param {AbortSignal} signal
 * @param {() => boolean} isOutdated
 */
async function showList(sessions, signal, isOutdated) {
  const items = Array.from(/** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#devices li")));
  const isSame = items.map(({ dataset }) => dataset["handle"]).join() === sessions?.map(({ handle }) => handle).join();
  if (isSame) {
    for (const [place, { last_accessed_at, ttl }] of (sessions ?? []).entries()) {
      setText(items[place], ".accessed", last_accessed_at.slice(11, 19));
      setText(items[place], ".ttl", formatSeconds(ttl * 1000));
    }
  } else if (sessions !== undefined || listLink() !== null) {
    const newList = (await peekAtPage(signal))?.querySelector("#devices");
    if (newList && !isOutdated()) keepFocus(() => byId("devices").replaceWith(newList));
  }
}

/** @param {AbortSignal} signal */
async function peekAtPage(signal) {
  const response = await fetch("/?refresh=false&sessions=true", { headers: { Accept: "text/html" }, signal });
  const newMain = mainIn(await response.text());
  return response.ok ? newMain : null;
}

/**
 * Shows a page that nobody asked for, and keeps what is being typed.
 *
 * @param {Element} newMain
 * @param {Cause} cause
 */
function showKeepingInput(newMain, cause) {
  const input = document.activeElement;
  const isTextBox = input instanceof HTMLInputElement && input.type !== "checkbox" && mainElement().contains(input);
  if (isTextBox) newMain.querySelector(`#${input.id}`)?.replaceWith(input.cloneNode());
  show(newMain, cause);
}

/**
 * Shows the end of the session, from the template that came with the page. If no timeout explains the end, asks first
 * whether the browser still has the cookie: another tab may have logged out.
 *
 * @param {AbortSignal} signal
 * @param {() => boolean} isOutdated
 */
async function showEnd(signal, isOutdated) {
  let reason = reasonOfEnd();
  const isTimeout = reason === "idle" || reason === "absolute";
  const peeked = isTimeout ? null : await peekAtPage(signal);
  if (isOutdated()) return;
  const { state, now } = /** @type {HTMLElement | null} */ (peeked?.querySelector("#session"))?.dataset ?? {};
  if (peeked && state === "live") {
    return showKeepingInput(peeked, { request: "In another tab", kind: "start", isUnasked: true });
  }
  if (state === "none") reason = "tab";
  // A computer that slept may have stopped the clock of this page, but not that of Redis.
  else if (Number(now) > redisTime(expiresAt())) reason = "unknown";
  const template = /** @type {HTMLTemplateElement} */ (byId("ended"));
  const newMain = /** @type {Element} */ (mainElement().cloneNode(true));
  const attributes = newMain.querySelector("#attributes");
  newMain.querySelector(".sides")?.replaceWith(template.content.cloneNode(true));
  if (attributes) newMain.querySelector(".browser")?.append(attributes);
  newMain.querySelector("#devices")?.remove();
  /** @type {HTMLElement} */ (newMain.querySelector("#session")).dataset["state"] = "ended";
  if (state === "none") takeSides(newMain, peeked);
  for (const notice of newMain.querySelectorAll(`.notice:not([data-reason="${reason}"], [data-reason="outage"])`)) {
    notice.remove();
  }
  setText(newMain, ".when", ` at ${timeOfDay(performance.now())}`);
  newMain.querySelector("#costs")?.replaceChildren();
  show(newMain, { request: "GET /session?refresh=false", kind: "peek", reason, isUnasked: true });
}

/**
 * Takes what the browser and Redis hold, and not what is said of it, from another page.
 *
 * @param {Element} target
 * @param {Element | null} source
 */
function takeSides(target, source) {
  for (const side of [".browser", ".redis"]) {
    const found = source?.querySelector(side);
    if (found) target.querySelector(side)?.replaceWith(found);
  }
  Object.assign(/** @type {HTMLElement} */ (target.querySelector("#session")).dataset, {
    state: "none",
    sessionId: "",
  });
}

/** Another tab may have logged in or out, or have found the session dead, which clears the cookie. */
otherTabs.addEventListener("message", ({ data }) => {
  if (data === "/logout") sayLoggedOut();
  checkCookie();
});

function checkCookie() {
  if (session()?.dataset["state"] !== "ended") return pollNow();
  void ask(async (signal, isOutdated) => {
    const peeked = await peekAtPage(signal);
    if (isOutdated() || !peeked?.querySelector("[data-state='none']")) return;
    takeSides(mainElement(), peeked);
  });
}

/** A peek between the log-out in another tab and its reply still had the cookie, so the page took it for a deletion. */
function sayLoggedOut() {
  const said = document.querySelector(".notice[data-reason='elsewhere']");
  if (said === null) return;
  const { content } = /** @type {HTMLTemplateElement} */ (byId("ended"));
  const notice = /** @type {Element} */ (content.querySelector(".notice[data-reason='tab']")?.cloneNode(true));
  setText(notice, ".when", ` at ${timeOfDay(performance.now())}`);
  said.replaceWith(notice);
  announce();
}

function draw() {
  if (document.hidden) return;
  const now = isOutage() ? lastSeenAt : performance.now();
  const first = ends.absolute < ends.idle ? "absolute" : "idle";
  for (const clock of clocks()) {
    const id = clock.classList.contains("idle") ? "idle" : "absolute";
    const left = Math.max(0, ends[id] - now);
    clock.classList.toggle("first", id === first);
    clock.classList.toggle("ending", id === first && left < Math.min(LAST_MS, Number(clock.dataset["of"]) / 3));
    setText(clock, ".left", formatLeft(left));
    /** @type {HTMLProgressElement} */ (clock.querySelector("progress")).value = left;
  }
  if (timelineFigure && chart) {
    timelineFigure.hidden = chart.timeline.events.length === 0;
    timelineFigure.classList.toggle("ending", document.querySelector(".clock.ending") !== null);
    chart.draw(now, isOutage() ? "last known" : "now");
  }
}

/** If a click brings another form to its place, the second half of a double click would send that one. */
document.addEventListener("click", (event) => {
  const action = /** @type {Element} */ (event.target).closest("button")?.form?.action ?? "";
  if (event.detail > 1 && action !== clickedAction) event.preventDefault();
  else clickedAction = action;
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isSending && !isOutage()) void send(/** @type {HTMLFormElement} */ (event.target), event.submitter);
});

/**
 * Sends a form. A poll that is under way is given up first, because its reply will be outdated.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
async function send(form, submitter) {
  isSending = true;
  poll.abort();
  // @ts-expect-error URLSearchParams takes a form's data if it holds no files.
  const body = new URLSearchParams(new FormData(form, submitter));
  const { pathname } = new URL(form.action);
  try {
    const response = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body });
    const newMain = mainIn(await response.text());
    const isUsable = newMain?.querySelector("#session") !== null && response.status !== 503;
    showOutage(isUsable ? "" : `${problemOf(response, headingOf(newMain))} ${UNCERTAIN}`);
    if (isUsable) tellOtherTabs(pathname);
    const kind = response.ok ? (KIND_OF_FORM[pathname] ?? "use") : "peek";
    if (isUsable && newMain) show(newMain, { request: `POST ${pathname}`, kind });
  } catch {
    showOutage(`The server does not answer. ${UNCERTAIN}`);
  }
  isSending = false;
  pollLater();
}

document.addEventListener("visibilitychange", () => {
  draw();
  checkCookie();
});

document.addEventListener("change", ({ target }) => {
  if (!(target instanceof HTMLInputElement) || target.id !== "reads") return;
  readsEachSecond = target.checked;
  document.querySelector(".notice[data-reason='click']")?.setAttribute("data-reason", ""); // this was a click, too
  showMode();
  announce();
  document.dispatchEvent(new Event("shown"));
  pollNow();
});

function pollNow() {
  clearTimeout(nextPoll);
  poll.abort();
  void (readsEachSecond && isLive() && !isOutage() ? read() : peek());
}

/** During an outage no button works, and no earlier success stands. */
function showMode() {
  const reads = /** @type {HTMLInputElement | null} */ (document.getElementById("reads"));
  if (reads) {
    reads.checked = readsEachSecond;
    /** @type {HTMLElement} */ (reads.closest("label")).hidden = false;
  }
  document.body.classList.toggle("outage", isOutage());
  for (const notice of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".notice"))) {
    const isOfOutage = notice.dataset["reason"] === "outage";
    notice.hidden = isOfOutage !== isOutage();
    if (isOfOutage && isOutage()) setText(notice, "strong", byId("outage").textContent ?? "");
  }
  for (const button of document.querySelectorAll("form button, .stepper button")) {
    if (isOutage()) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
  setText(document, ".since", timeOfDay(lastSeenAt));
}

/** To a screen reader: what came of a click, or the end of the session. Not what a peek found: that would be chatter. */
function announce() {
  const selector = document.querySelector(".mistake") ? ".mistake" : ".notice:not([hidden])";
  const notice = /** @type {HTMLElement | null} */ (document.querySelector(selector));
  byId("status").textContent = notice?.innerText.trim().replaceAll(/\s+/g, " ") ?? "";
}

/**
 * Keeps what the last clicks cost, below the newest. A click closes them, so that nothing below moves at the next one.
 * Reads of the checkbox share one entry that counts them.
 *
 * @param {Element} newMain
 * @param {Element} oldMain
 * @param {Cause} cause
 */
function keepCosts(newMain, oldMain, { request, kind }) {
  const list = newMain.querySelector("#costs");
  const older = Array.from(/** @type {NodeListOf<HTMLElement>} */ (oldMain.querySelectorAll("#costs > li")));
  const newest = /** @type {HTMLElement | null | undefined} */ (list?.firstElementChild);
  if (newest && request === "GET /" && kind === "use") {
    const isOpen = older[0]?.querySelector("details")?.open === true;
    newest.querySelector("details")?.toggleAttribute("open", isOpen);
    const reads = Number(older[0]?.dataset["reads"] ?? 0) + 1;
    newest.dataset["reads"] = String(reads);
    newest
      .querySelector("strong")
      ?.append(reads === 1 ? ", read each second" : `, read each second ${reads} times, each`);
    if (reads > 1) older.shift();
  }
  if (newest) for (const each of older) each.querySelector("details")?.removeAttribute("open");
  list?.append(...older.slice(0, MAX_COSTS - (newest ? 1 : 0)));
}

/**
 * Keeps the list of the user's sessions, if the new page has none: the next peek tells whether it has changed.
 *
 * @param {Element} newMain
 * @param {Element} oldMain
 */
function keepList(newMain, oldMain) {
  const oldList = oldMain.querySelector("#devices");
  if (oldList && newMain.querySelector("#list-sessions")) newMain.querySelector("#devices")?.replaceWith(oldList);
}

/**
 * Keeps the race lab with the steps that were run in it, and puts the result of a race, or a mistake, into it.
 *
 * @param {Element} newMain
 * @param {Element} oldMain
 * @param {Cause} cause
 */
function keepRace(newMain, oldMain, { request }) {
  const race = oldMain.querySelector("#race");
  if (!race) return;
  const newResults = newMain.querySelector("#race-results[data-rounds]");
  if (newResults) {
    race.querySelector("#race-results")?.replaceWith(newResults);
    experiment("race");
  }
  const newForm = newMain.querySelector("#run-race");
  if (newForm && request === "POST /race") race.querySelector("#run-race")?.replaceWith(newForm);
  newMain.querySelector("#race")?.replaceWith(race);
}

/**
 * Keeps what the page says of the last click, if this is only the next read of the checkbox.
 *
 * @param {Element} newMain
 * @param {Element} oldMain
 * @param {Cause} cause
 */
function keepNotice(newMain, oldMain, { kind, isUnasked }) {
  const said = oldMain.querySelector(".notice[data-reason='click']");
  if (said && kind === "use" && isUnasked) newMain.querySelector(".notice[data-reason='']")?.replaceWith(said);
}

/** @param {Map<string, string>} oldFields */
function markChanges(oldFields) {
  for (const [field, value] of shownFields()) {
    if (oldFields.get(field) === value) continue;
    document.querySelector(`[data-field="${CSS.escape(field)}"]`)?.classList.add("changed");
  }
}

/** @param {string} html */
const mainIn = (html) => new DOMParser().parseFromString(html, "text/html").querySelector("main");
/**
 * The server's message, which says at a 503 to try again: this page does that itself.
 *
 * @param {Response} response
 * @param {string} message
 */
const problemOf = ({ status }, message) => (status === 503 ? REDIS_DOWN : message);
/** @param {Element | null} errorPage */
const headingOf = (errorPage) =>
  errorPage?.querySelector(".error h2, [data-reason='outage'] strong")?.textContent ?? "The server does not answer.";
const clocks = () => Array.from(/** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".clock")));

function shownFields() {
  const rows = Array.from(
    /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-state='live'] [data-field]")),
  );
  return new Map(rows.map((row) => [row.dataset["field"] ?? "", row.querySelector("bdi")?.textContent ?? ""]));
}

/**
 * @param {ParentNode | undefined} parent
 * @param {string} selector
 * @param {string} text
 */
function setText(parent, selector, text) {
  const element = parent?.querySelector(selector);
  if (element) element.textContent = text;
}

/** @param {number} ms */
function formatLeft(ms) {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : formatSeconds(ms);
}

/** @param {string} text Empty if Redis replies. */
function showOutage(text) {
  const shown = byId("outage").textContent ?? "";
  if (shown === text || (text !== "" && shown.endsWith(UNCERTAIN))) return;
  if (text !== "") lastOutageAt = performance.now();
  byId("outage").textContent = text;
  byId("outage").hidden = text === "";
  showMode();
  draw();
}

setInterval(draw, matchMedia("(prefers-reduced-motion: reduce)").matches ? CALM_DRAW_MS : DRAW_MS);
begin();
if (isUnknown()) showOutage(headingOf(mainElement()));
tellOtherTabs();
if (isLive()) observe({ request: "GET /", kind: "use" });
