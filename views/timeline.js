/*
 * The timeline: the TTL of the session over the last two minutes, and what moved it. `Timeline` and `drawTimeline` know
 * nothing of the page, so that they can be tested by themselves; `TimelineChart` shows the drawing as SVG.
 * Times are in milliseconds, on the clock of `performance.now()`.
 */

const PAST_MS = 120_000;
const SHORTEST_MS = 40_000; // past and future together
const GRID_MS = [10_000, 30_000, 60_000];
const GRID_PX = 48; // room for a label
const EDGE_PX = 16; // half a label
const PEEK_PX = 4; // peeks that are closer together are left out
const HEADROOM = 1.15; // the highest idle timeout is drawn below the upper edge
const LIFT_MS = 300; // a smaller difference is the network's delay
const MAX_LABELS = 12; // in the summary: with a read each second there are many
const SVG = "http://www.w3.org/2000/svg";

const circle = (/** @type {number} */ r) => `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`;

/** @type {Record<string, [path: string, meaning: string]>} The symbols in the order of the legend. */
const SYMBOLS = {
  start: ["M0 -8V8", "start"],
  reset: [circle(5), "idle timeout reset"],
  use: [circle(3.5), "use without a reset"],
  peek: [circle(2), "this page peeks: reads without a reset"],
  ttl: ["M0 -7L7 0L0 7L-7 0Z", "new idle timeout"],
  rotate: ["M-5 -5H5V5H-5Z", "new session ID"],
  elsewhere: ["M0 -7L7 5H-7Z", "changed elsewhere"],
  end: ["M-6 -6L6 6M6 -6L-6 6", "end"],
  line: ["M-8 0H8", "TTL"],
  projected: ["M-8 0H8", "if not used"],
  ceiling: ["M-8 0H8", "absolute timeout"],
};

/**
 * What is known of a session from one moment on.
 *
 * @typedef {object} Observation
 * @property {"start" | "use" | "peek" | "ttl" | "rotate" | "elsewhere"} kind `use`: a read or a write. `elsewhere`:
 *   something else than this page moved the TTL.
 * @property {number} at
 * @property {string} request What asked Redis, such as `POST /increment`.
 * @property {number} expiresAt When Redis deletes the key, if nothing moves that.
 * @property {number} idleTimeout
 * @property {number} deadline When the absolute timeout ends the session.
 */

/** @typedef {{ kind: "end", at: number, cause: string }} End */
/** @typedef {Observation | End} Event */
/** @typedef {[x: number, y: number]} Point */
/** @typedef {{ event: Event, x: number, y: number, symbol: string, label: string }} Mark */

/** What happened in the last two minutes, the oldest first. */
export class Timeline {
  /** @type {Event[]} */
  events = [];

  /** @param {Event} event */
  record(event) {
    this.events.push(event);
    const firstInside = this.events.findIndex(({ at }) => at >= event.at - PAST_MS);
    this.events.splice(0, firstInside - 1); // the line enters the picture where the one before left it
  }
}

/**
 * The picture, in pixels. It begins with what is known: the less of the past is known, the more of the future it shows.
 *
 * @param {Event[]} events
 * @param {{ now: number, width: number, height: number }} frame
 */
export function drawTimeline(events, { now, width, height }) {
  const past = Math.min(now - (events[0]?.at ?? now), PAST_MS);
  const future = Math.max(SHORTEST_MS - past, past / 3);
  const start = now - past;
  const end = now + future;
  const highest = Math.max(...events.map((event) => (event.kind === "end" ? 0 : event.idleTimeout)), 1000);
  const x = (/** @type {number} */ at) => round((width * (at - start)) / (end - start));
  const y = (/** @type {number} */ left) => round(height * (1 - Math.min(Math.max(left / (highest * HEADROOM), 0), 1)));
  /** @returns {Point} Where a value is that falls by a second each second and is zero at `zeroAt`. */
  const point = (/** @type {number} */ at, /** @type {number} */ zeroAt) => [x(at), y(zeroAt - at)];

  const spans = events.flatMap((event, index) => {
    if (event.kind === "end") return [];
    const next = events[index + 1];
    return [{ ...event, from: Math.max(event.at, start), to: next?.at ?? now, isLast: next === undefined }];
  });
  const visible = spans.filter(({ to }) => to > start);

  /** @type {Point[][]} One line for each session. */
  const lines = [];
  for (const { kind, from, to, expiresAt } of visible) {
    if (kind === "start" || lines.length === 0) lines.push([]);
    lines.at(-1)?.push(point(from, expiresAt), point(Math.max(from, Math.min(to, expiresAt)), expiresAt));
  }

  const ceilings = visible.flatMap(({ from, to, isLast, deadline }) => {
    const visibleFrom = Math.max(from, deadline - highest * HEADROOM);
    const visibleTo = Math.min(isLast ? end : to, deadline);
    return visibleFrom < visibleTo ? [[point(visibleFrom, deadline), point(visibleTo, deadline)]] : [];
  });

  const last = spans.at(-1);
  const isRunning = last?.isLast && last.expiresAt > now;
  const secondsOfPeek = Math.ceil((PEEK_PX * (end - start)) / width / 1000);
  const step = GRID_MS.find((ms) => x(start + ms) >= GRID_PX) ?? PAST_MS;
  const stepsBack = Math.floor(past / step);

  return {
    lines,
    projected: isRunning ? [[point(now, last.expiresAt), point(Math.min(last.expiresAt, end), last.expiresAt)]] : [],
    ceilings,
    marks: events.flatMap((event, index) => {
      const isDense = event.kind === "peek" && Math.floor(event.at / 1000) % secondsOfPeek > 0;
      if (event.at < start || isDense) return [];
      const before = events[index - 1];
      const left = event.kind === "end" ? 0 : event.expiresAt - event.at;
      return [{ event, x: x(event.at), y: y(left), symbol: symbolOf(event, before), label: labelOf(event, before) }];
    }),
    grid: Array.from({ length: Math.ceil((end - start) / step) }, (_, index) => {
      const seconds = ((index - stepsBack) * step) / 1000;
      const label = seconds === 0 ? "now" : `${seconds < 0 ? "−" : "+"}${Math.abs(seconds)} s`;
      return { x: x(now + seconds * 1000), label };
    }).filter((line) => line.x <= width - EDGE_PX),
    idleTimeout: { y: y(highest), label: formatSeconds(highest) },
  };
}

/**
 * A use has the symbol of a reset only if it moved the expiry.
 *
 * @param {Event} event
 * @param {Event | undefined} before
 */
function symbolOf(event, before) {
  if (event.kind !== "use") return event.kind;
  const { at, expiresAt, idleTimeout } = event;
  const isFirst = before === undefined || before.kind === "end";
  const isReset = isFirst ? expiresAt - at > idleTimeout - LIFT_MS : expiresAt - before.expiresAt > LIFT_MS;
  return isReset ? "reset" : "use";
}

/** @param {Observation} observation */
const isCapped = ({ at, expiresAt, idleTimeout, deadline }) =>
  deadline - expiresAt < LIFT_MS && expiresAt - at < idleTimeout - LIFT_MS;

/**
 * What a mark says.
 *
 * @param {Event} event
 * @param {Event | undefined} before
 */
export function labelOf(event, before) {
  if (event.kind === "end") return `The end: ${event.cause}`;
  const { request, at, expiresAt, idleTimeout } = event;
  const left = expiresAt - at;
  const now = `TTL ${formatSeconds(left)}`;
  /** @type {Record<string, string>} */
  const says = {
    start: `the session starts, TTL ${formatSeconds(isCapped(event) ? left : idleTimeout)}`,
    ttl: `the idle timeout is now ${formatSeconds(idleTimeout)}`,
    rotate: `a new session ID, ${now}`,
    peek: `a peek, which resets nothing, TTL ${formatSeconds(left)}`,
    elsewhere: `something else than this page moved the TTL to ${formatSeconds(left)}`,
    reset: `the idle timeout is reset, ${now}`,
    use: isCapped(event) ? now : `the idle timeout was reset less than a second before, ${now}`,
  };
  return `${request}: ${says[symbolOf(event, before)]}${isCapped(event) ? "; the absolute timeout comes first" : ""}`;
}

/** @param {number} ms */
export function formatSeconds(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds >= 2 * 86_400) return `${Math.round(seconds / 86_400)} days`;
  if (seconds >= 2 * 3600) return `${Math.round(seconds / 3600)} h`;
  if (seconds >= 120) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`.replace(" 0 s", "");
  return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.ceil(seconds)} s`;
}

/** @param {number} value Rounded to a tenth of a pixel. */
const round = (value) => Math.round(value * 10) / 10;

/** Shows a timeline in a figure that holds an `svg`, and the lines `.summary`, `.legend` and `.reading`. */
export class TimelineChart {
  timeline = new Timeline();
  #svg;
  #summary;
  #legend;
  #reading;
  #picture = svgElement("g", { "aria-hidden": "true" });
  #marks = svgElement("g", {});
  /** @type {Map<Event, SVGElement>} The mark of each event. */
  #markOf = new Map();

  /** @param {HTMLElement} figure */
  constructor(figure) {
    const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (figure.querySelector(selector));
    this.#svg = find("svg");
    this.#summary = find(".summary");
    this.#legend = find(".legend");
    this.#reading = find(".reading");
    this.#svg.append(this.#picture, this.#marks);
    for (const [name, [d, meaning]] of Object.entries(SYMBOLS)) {
      const symbol = svgElement("svg", { viewBox: "-8 -8 16 16", "aria-hidden": true });
      symbol.append(svgElement("path", { d }));
      const entry = document.createElement("span");
      entry.className = name;
      entry.append(symbol, meaning);
      this.#legend.append(entry);
    }
    // On the figure, because Chromium gives the Tab key to an SVG element that listens to the focus.
    figure.addEventListener("keydown", (event) => this.#moveFocus(event));
    for (const type of ["pointerover", "focusin"]) figure.addEventListener(type, ({ target }) => this.#read(target));
    for (const type of ["pointerout", "focusout"]) figure.addEventListener(type, () => this.#read(null));
  }

  /** @param {number} now */
  draw(now) {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    const drawing = drawTimeline(this.timeline.events, { now, width, height });
    const { idleTimeout, grid } = drawing;
    this.#picture.replaceChildren(
      ...grid.map(({ x }) => svgElement("line", { class: "grid", x1: x, x2: x, y1: 0, y2: height })),
      ...grid.map(({ x, label }) => svgElement("text", { class: "time", x, y: height + 15 }, label)),
      svgElement("line", { class: "grid level", x1: 0, x2: width, y1: idleTimeout.y, y2: idleTimeout.y }),
      svgElement("text", { x: -7, y: idleTimeout.y - 11 }, "TTL"),
      svgElement("text", { x: -7, y: idleTimeout.y + 4 }, idleTimeout.label),
      svgElement("text", { x: -7, y: height + 2 }, "0"),
      ...drawing.ceilings.map((points) => svgElement("polyline", { class: "ceiling", points })),
      ...drawing.projected.map((points) => svgElement("polyline", { class: "projected", points })),
      ...drawing.lines.map((points) => svgElement("polyline", { class: "line", points })),
    );
    this.#drawMarks(drawing.marks);
    for (const entry of this.#legend.children) {
      entry.toggleAttribute("hidden", this.#svg.querySelector(`.${entry.className}`) === null);
    }
  }

  /**
   * A mark stays the same element from one picture to the next, so that it keeps the focus.
   *
   * @param {Mark[]} marks
   */
  #drawMarks(marks) {
    const old = new Map(this.#markOf);
    const { size } = old;
    for (const { event, x, y, symbol, label } of marks) {
      const mark = this.#markOf.get(event) ?? this.#addMark(event, symbol, label);
      mark.setAttribute("transform", `translate(${x} ${y})`);
      old.delete(event);
    }
    const isChanged = old.size > 0 || this.#markOf.size > size;
    for (const [event, mark] of old) {
      mark.remove();
      this.#markOf.delete(event);
    }
    if (isChanged) this.#describe();
  }

  /**
   * The newest mark is on top, and no peek covers another mark.
   *
   * @param {Event} event
   * @param {string} symbol
   * @param {string} label
   */
  #addMark(event, symbol, label) {
    const isPeek = symbol === "peek";
    const mark = svgElement("g", { class: `mark ${symbol}`, role: "img", "aria-label": label, "aria-hidden": isPeek });
    mark.append(
      svgElement("circle", { class: "target", r: 12 }),
      svgElement("path", { d: SYMBOLS[symbol]?.[0] ?? "" }),
    );
    if (isPeek) this.#marks.prepend(mark);
    else this.#marks.append(mark);
    this.#markOf.set(event, mark);
    return mark;
  }

  /** Says in words what the marks say, and lets the Tab key reach one of them; the arrow keys lead to the others. */
  #describe() {
    const marks = this.#readable();
    const labels = marks.map((mark) => mark.getAttribute("aria-label"));
    const changes = labels.filter((label, index) => label !== labels[index - 1]);
    this.#summary.textContent = `In the last two minutes: ${changes.slice(-MAX_LABELS).join("; ") || "nothing"}.`;
    const focused = marks.find((mark) => mark === document.activeElement) ?? marks.at(-1);
    for (const mark of marks) mark.setAttribute("tabindex", mark === focused ? "0" : "-1");
  }

  #readable() {
    return Array.from(this.#marks.children).filter((mark) => !mark.classList.contains("peek"));
  }

  /** @param {KeyboardEvent} event */
  #moveFocus(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const marks = this.#readable();
    const place = marks.indexOf(/** @type {Element} */ (event.target));
    const next = marks[place + (step ?? 0)];
    if (step === undefined || place === -1 || !(next instanceof SVGElement)) return;
    event.preventDefault();
    next.focus();
    this.#describe();
  }

  /** @param {EventTarget | null} target */
  #read(target) {
    const mark = target instanceof Element ? target.closest(".mark") : null;
    this.#reading.textContent = mark?.getAttribute("aria-label") ?? "";
    this.#reading.hidden = mark === null;
  }
}

/**
 * @param {string} name
 * @param {Record<string, string | number | boolean | Point[]>} attributes
 */
function svgElement(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  element.textContent = text;
  return element;
}
