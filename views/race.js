/*
 * The race lab, step by step: each step runs in Redis when somebody asks for it, in the order that they choose. Many
 * rounds are run and counted without this script, which then resets the steps and scrolls to the result.
 */

/**
 * What to say after some steps. No other order is possible: without a session, the request does not write.
 *
 * @type {Record<string, string>}
 */
const HINTS = {
  "": "Start with 1.",
  start: "Next: 2. Or 3, so that the user logs out before the request reads.",
  "start read": "Next: 3, between the read and the write. Or 4, so that the write comes first.",
  "start read logout": "Next: 4. Will the write bring the session back?",
  "start read logout write": "Done: see below. 1 starts again.",
  "start read write": "Next: 3.",
  "start read write logout": "Done: the write came before the log-out, and nothing came back. 1 starts again.",
  "start logout": "Next: 2.",
  "start logout read": "Done: the request found no session and ends. 1 starts again.",
};

/** Names the three sessions. */
let id = "";
/** The steps that were run, in order, as in `HINTS`. */
let stepsRun = "";

const lab = document.getElementById("race");
const stepper = lab?.querySelector(".stepper");
const buttons = Array.from(stepper?.querySelectorAll("button") ?? []);

stepper?.removeAttribute("hidden");
for (const button of buttons)
  button.addEventListener("click", () => {
    if (!button.ariaDisabled) void runStep(button.value);
  });
if (lab) {
  const results = new MutationObserver(() => {
    stepsRun = ""; // the result of a race has replaced the steps
    showButtons();
    reveal("#run-race");
  });
  results.observe(lab, { childList: true });
}

/** @param {string} step */
async function runStep(step) {
  for (const button of buttons) button.disabled = true;
  try {
    const reply = await post(step);
    for (const way of ["plain", "whole", "store"]) {
      if (step === "start") begin(way, reply[way].held);
      else show(way, step, reply[way]);
    }
    if (step === "start") ({ id } = reply);
    stepsRun = step === "start" ? step : `${stepsRun} ${step}`;
    if (step === "read" && !reply.plain.found) stepsRun = "start logout read"; // or it has expired
    showButtons();
    const isDone = HINTS[stepsRun]?.startsWith("Done");
    if (step === "start" || isDone) reveal(".stepper"); // only then: the next button stays under the mouse
  } catch (error) {
    showButtons(error instanceof Error ? error.message : "The server does not answer.");
  }
  // A button that was disabled by its own click has lost the focus.
  if (document.activeElement === document.body) part(".next").focus();
}

/** @param {string} step */
async function post(step) {
  const body = new URLSearchParams({ step, id });
  const response = await fetch("/race/step", { method: "POST", headers: { Accept: "application/json" }, body });
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.error);
  return reply;
}

/** Shows which steps are possible, and which of them comes next in the story. */
function showButtons(hint = HINTS[stepsRun]) {
  const possible = buttons.filter(({ value }) => value === "start" || `${stepsRun} ${value}` in HINTS);
  for (const button of buttons) {
    button.disabled = !possible.includes(button);
    button.classList.toggle("next", button === (possible[1] ?? possible[0]));
    button.classList.toggle("run", stepsRun.includes(button.value));
  }
  part(".hint").textContent = hint ?? "";
}

/**
 * @param {string} way
 * @param {string} held
 */
function begin(way, held) {
  part(`.${way} .calls`).replaceChildren();
  part(`.${way} .calls`).setAttribute("aria-label", "In the order that you chose");
  part(`.${way} .verdict`).textContent = "";
  part(`.${way} .because`).hidden = true;
  addRow(way, ["Log-in", "", "a new session", held]);
}

/**
 * @param {string} way
 * @param {string} step
 * @param {{ calls: { call: string, reply: string, held: string }[], fields: Record<string, string> }} result
 */
function show(way, step, { calls, fields }) {
  const who = step === "logout" ? "Log-out" : "Request";
  for (const { call, reply, held } of calls) addRow(way, [who, call, reply, held]);
  if (step === "write" && stepsRun.includes("logout")) {
    const isThere = "page_views" in fields;
    const isComplete = "username" in fields;
    const revived = isComplete
      ? "The user is logged in again."
      : "The key came back after the log-out, without a user.";
    part(`.${way} .verdict`).textContent = isThere ? revived : "The session stays deleted.";
    part(`.${way} .because`).hidden = false;
    document.dispatchEvent(new CustomEvent("experiment", { detail: "race" }));
  }
}

/**
 * @param {string} way
 * @param {string[]} texts
 */
function addRow(way, texts) {
  const template = /** @type {HTMLTemplateElement} */ (part("template"));
  const row = /** @type {Element} */ (template.content.querySelector("li")?.cloneNode(true));
  row.classList.toggle("logout", texts[0] === "Log-out");
  for (const [index, cell] of row.querySelectorAll(".who, code, .reply, .held").entries()) {
    cell.textContent = texts[index] ?? "";
  }
  part(`.${way} .calls`).append(row);
}

/**
 * Scrolls so that the controls and the result below them can be seen, if they cannot.
 *
 * @param {string} controls
 */
function reveal(controls) {
  const [top, bottom] = [part(controls).getBoundingClientRect().top, part(".ways").getBoundingClientRect().bottom];
  if (top >= 0 && bottom <= innerHeight) return;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  part(controls).scrollIntoView({ behavior: isCalm ? "auto" : "smooth" });
}

/** @param {string} selector */
const part = (selector) => /** @type {HTMLElement} */ (lab?.querySelector(selector));
