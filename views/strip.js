/*
 * The strip of experiments: one is lit at a time, and ticked when page.js or race.js says that its event has happened,
 * whatever caused it. What was done and whether the strip is closed stays in this browser.
 */

const STORED_AS = "experiments";
/** Milliseconds: above these, a session is too long to be watched to its end. */
const LONG_IDLE = 60_000;
const LONG_ABSOLUTE = 300_000;

/** @param {string} id */
const clock = (id) => /** @type {HTMLElement} */ (document.querySelector(`.clock.${id}`)).dataset;
const strip = document.getElementById("strip");
const items = Array.from(/** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-experiment]")));
const openButton = /** @type {HTMLButtonElement} */ (document.getElementById("open-strip"));
const closeButton = /** @type {HTMLButtonElement | null} */ (document.getElementById("close-strip"));

/** @type {{ done: string[], isClosed: boolean }} `done`: the experiments in the order in which they were done. */
let progress = { done: [], isClosed: false };
/** The experiment that the visitor has picked; else the first that is not done is lit. @type {HTMLElement | undefined} */
let picked;

if (strip && closeButton) {
  progress = load();
  strip.classList.add("guided");
  closeButton.hidden = false;
  closeButton.addEventListener("click", () => toggle(true));
  openButton.addEventListener("click", () => toggle(false));
  document.addEventListener("experiment", (event) => tick(/** @type {CustomEvent<string>} */ (event).detail));
  document.addEventListener("shown", show);
  strip.addEventListener("submit", nameUser);
  for (const item of items) makePickable(item);
  if (document.querySelector("#race-results[data-rounds]")) tick("race");
  show();
}

/** The title becomes a button that lights the experiment. @param {HTMLElement} item */
function makePickable(item) {
  const title = /** @type {HTMLElement} */ (item.querySelector("h3"));
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = title.textContent;
  button.addEventListener("click", () => {
    picked = item;
    show();
    item.focus(); // the button is disabled now
  });
  title.replaceChildren(button);
  item.tabIndex = -1;
}

/** A browser may have no storage, and anything may be stored in it. */
function load() {
  try {
    const { done, isClosed } = JSON.parse(localStorage.getItem(STORED_AS) ?? "{}");
    const known = items.map(({ dataset }) => dataset["experiment"] ?? "");
    return {
      done: Array.isArray(done) ? known.filter((each) => done.includes(each)) : [],
      isClosed: isClosed === true,
    };
  } catch {
    return progress;
  }
}

function save() {
  try {
    localStorage.setItem(STORED_AS, JSON.stringify(progress));
  } catch {
    // It lasts as long as the page.
  }
}

/** @param {string} experiment */
function tick(experiment) {
  if (picked?.dataset["experiment"] === experiment) picked = undefined;
  if (!progress.done.includes(experiment)) progress.done.push(experiment);
  save();
  show();
}

/** Opened again when all are done, it begins with the first one. @param {boolean} isClosed */
function toggle(isClosed) {
  const isAllDone = progress.done.length === items.length;
  progress = { done: isAllDone && !isClosed ? [] : progress.done, isClosed };
  save();
  show();
  (isClosed ? openButton : closeButton)?.focus();
}

function show() {
  const { done, isClosed } = progress;
  /** @type {HTMLElement} */ (strip).hidden = isClosed;
  openButton.hidden = !isClosed;
  const current = picked ?? items.find(({ dataset }) => !done.includes(dataset["experiment"] ?? ""));
  for (const item of items) {
    const isDone = done.includes(item.dataset["experiment"] ?? "");
    item.classList.toggle("done", isDone);
    item.classList.toggle("latest", item.dataset["experiment"] === done.at(-1));
    if (item === current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.querySelector("h3 button")?.toggleAttribute("disabled", item === current);
    for (const learnt of item.querySelectorAll(".learnt")) {
      learnt.toggleAttribute("hidden", !isDone || item === current);
    }
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (item.querySelectorAll("[data-when]"))) {
      const isNow = part.dataset["when"]?.split(" ").includes(stateFor(item.dataset["experiment"]));
      part.hidden = item !== current || !isNow;
    }
  }
  /** @type {HTMLElement | null | undefined} */
  const how = current?.querySelector(".how:not([hidden])");
  strip?.querySelector(".go-on")?.toggleAttribute("hidden", current !== undefined);
  document.body.dataset["lit"] = (!isClosed && how?.dataset["lit"]) || "";
}

/**
 * The state of the session, as far as an experiment depends on it.
 *
 * @param {string | undefined} experiment
 */
function stateFor(experiment) {
  if (document.querySelector("#session[data-state='live']") === null) return "none";
  if (experiment === "expire" && Number(clock("idle")["of"]) > LONG_IDLE) return "long";
  if (experiment === "absolute" && Number(clock("absolute")["left"]) > LONG_ABSOLUTE) return "long";
  const isRead = /** @type {HTMLInputElement | null} */ (document.getElementById("reads"))?.checked;
  return isRead ? "reading" : "live";
}

/** Whoever has typed a name, or is logged in, keeps it. */
function nameUser() {
  const typed = /** @type {HTMLInputElement | null} */ (document.getElementById("username"))?.value;
  const name = typed ?? document.querySelector("[data-field='username'] bdi")?.textContent ?? "";
  const input = /** @type {HTMLInputElement | null} */ (strip?.querySelector("[name='username']"));
  if (input) input.value = name;
}
