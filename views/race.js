/*
 * The race lab, step by step: each step runs in Redis when somebody asks for it, in the order that they choose. Many
 * rounds are run and counted without this script.
 */

/** @typedef {{ step: string, calls: { call: string, reply: string }[], found: boolean, fields: Record<string, string> }} TakenStep */

/** Names the two sessions. */
let id = "";
/** @type {Set<string>} */
let possible = new Set(["start"]);

document.querySelector("#race .stepper")?.removeAttribute("hidden");
document.addEventListener("click", ({ target }) => {
  const button = target instanceof Element ? target.closest("button[data-step]") : null;
  if (button instanceof HTMLButtonElement) void take(button.dataset["step"] ?? "");
});

/** @param {string} step */
async function take(step) {
  const then = possible;
  enable(new Set());
  try {
    const reply = await post(step);
    if (step === "start") {
      id = reply.id;
      clear();
      enable(new Set(["start", "read", "logout"]));
    } else {
      show("plain", reply.plain);
      show("store", reply.store);
      enable(new Set(Array.from(then).filter((other) => other !== step)));
      if (step === "read" && reply.plain.found) enable(possible.add("write"));
    }
  } catch (error) {
    enable(then);
    verdictOf("plain").textContent = error instanceof Error ? error.message : "The server does not answer.";
  }
  focusNext(step);
}

/** @param {string} step */
async function post(step) {
  const body = new URLSearchParams({ step, id });
  const response = await fetch("/race/step", { method: "POST", headers: { Accept: "application/json" }, body });
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.error);
  return reply;
}

/** @param {Set<string>} steps */
function enable(steps) {
  possible = steps;
  for (const button of buttons()) button.disabled = !steps.has(button.dataset["step"] ?? "");
}

function clear() {
  for (const way of ["plain", "store"]) {
    verdictOf(way).textContent = "";
    /** @type {HTMLElement} */ (wayOf(way).querySelector("caption")).textContent = "Your steps, in the order you chose";
    bodyOf(way).replaceChildren();
    addRow(way, [], [], ["a new session"]);
  }
}

/**
 * @param {string} way
 * @param {TakenStep} taken
 */
function show(way, { step, calls, found, fields }) {
  const held = Object.keys(fields);
  const state = held.length === 0 ? "no key" : `${held.length} fields, page_views ${fields["page_views"]}`;
  for (const { call, reply } of calls) {
    const isLast = call === calls.at(-1)?.call;
    const texts = [call, reply];
    addRow(way, step === "logout" ? [] : texts, step === "logout" ? texts : [], isLast ? [state] : []);
  }
  if (step === "read" && !found) verdictOf(way).textContent = "The request found no session and ends.";
  if (step === "write") verdictOf(way).textContent = verdict(wasLoggedOut(way), held.length > 0);
}

/**
 * @param {boolean} isLoggedOut
 * @param {boolean} isThere
 */
function verdict(isLoggedOut, isThere) {
  if (!isLoggedOut) return "The write came before the log-out.";
  return isThere ? "The session came back after the log-out." : "The session stays deleted.";
}

/** @param {string} way */
const wasLoggedOut = (way) => Array.from(bodyOf(way).rows).some(({ cells }) => cells[1]?.textContent !== "");

/**
 * @param {string} way
 * @param {string[][]} cells For each cell: what was called and what came back; or one text.
 */
function addRow(way, ...cells) {
  const row = bodyOf(way).insertRow();
  for (const [call, reply] of cells) {
    const cell = row.insertCell();
    if (reply === undefined) {
      cell.textContent = call ?? "";
    } else {
      const code = document.createElement("code");
      const span = document.createElement("span");
      code.textContent = call ?? "";
      span.textContent = reply;
      cell.append(code, " ", span);
    }
  }
}

/** A button that was disabled by its own click has lost the focus. */
function focusNext(/** @type {string} */ step) {
  if (document.activeElement !== document.body) return;
  const next = buttons().find(
    (button) => !button.disabled && button.dataset["step"] !== step && button.dataset["step"] !== "start",
  );
  (next ?? buttons()[0])?.focus();
}

const buttons = () =>
  Array.from(/** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#race [data-step]")));
/** @param {string} way */
const wayOf = (way) => /** @type {HTMLElement} */ (document.querySelector(`#race [data-way="${way}"]`));
/** @param {string} way */
const verdictOf = (way) => /** @type {HTMLElement} */ (wayOf(way).querySelector(".verdict"));
/** @param {string} way */
const bodyOf = (way) => /** @type {HTMLTableSectionElement} */ (wayOf(way).querySelector("tbody"));
