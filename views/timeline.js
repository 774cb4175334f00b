/*
 * The timeline: the TTL of the session over the last two minutes, and what moved it. `Timeline` and `drawTimeline` know
 * nothing of the page, so that they can be tested by themselves; `TimelineChart` shows the drawing as SVG.
 * Times are in milliseconds, on the clock of `performance.now()`.
 */

const PAST_MS = 120_000;
const FUTURE_MS = 20_000;
const GRID_MS = 30_000;
const HEADROOM = 1.15; // the highest idle timeout is drawn below the upper edge
const LIFT_MS = 300; // a smaller difference is the network's delay
const SVG = "http://www.w3.org/2000/svg";

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
/** @typedef {[x: number, y: number]} Point */

/** What happened in the last two minutes, the oldest first. */
export class Timeline {
  /** @type {(Observation | End)[]} */
  events = [];

  /** @param {Observation | End} event */
  record(event) {
    this.events.push(event);
    const firstInside = this.events.findIndex(({ at }) => at >= event.at - PAST_MS);
    this.events.splice(0, firstInside - 1); // the line enters the picture where the one before left it
  }
}

/**
 * The picture, in pixels.
 *
 * @param {(Observation | End)[]} events
 * @param {{ now: number, width: number, height: number }} frame
 */
export function drawTimeline(events, { now, width, height }) {
  const start = now - PAST_MS;
  const end = now + FUTURE_MS;
  const highest = Math.max(...events.map((event) => (event.kind === "end" ? 0 : event.idleTimeout)), 1000);
  const x = (/** @type {number} */ at) => round((width * (at - start)) / (end - start));
  const y = (/** @type {number} */ left) => round(height * (1 - clamp(left / (highest * HEADROOM), 0, 1)));
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

  return {
    lines: lines.map(toPath),
    areas: lines.map((points) => toPath(between(points, height))),
    projected: isRunning
      ? [toPath([point(now, last.expiresAt), point(Math.min(last.expiresAt, end), last.expiresAt)])]
      : [],
    ceilings: ceilings.map(toPath),
    unreachable: ceilings.map((points) => toPath(between(points, 0))),
    marks: events.flatMap((event, index) => {
      if (event.at < start) return [];
      const left = event.kind === "end" ? 0 : event.expiresAt - event.at;
      return [{ event, x: x(event.at), y: y(left), label: labelOf(event, events[index - 1]) }];
    }),
    grid: Array.from({ length: PAST_MS / GRID_MS }, (_, index) => {
      const ago = index * GRID_MS;
      return { x: x(now - ago), label: ago === 0 ? "now" : `−${ago / 1000} s` };
    }),
    idleTimeout: { y: y(highest), label: formatSeconds(highest) },
  };
}

/**
 * What a mark says.
 *
 * @param {Observation | End} event
 * @param {Observation | End | undefined} before
 */
export function labelOf(event, before) {
  if (event.kind === "end") return `The end: ${event.cause}`;
  const { kind, request, at, expiresAt, idleTimeout, deadline } = event;
  const left = expiresAt - at;
  const isLifted = before === undefined || before.kind === "end" || expiresAt - before.expiresAt > LIFT_MS;
  const isCapped = deadline - expiresAt < LIFT_MS && left < idleTimeout - LIFT_MS;
  const now = `TTL ${formatSeconds(left)}`;
  const says = {
    start: `the session starts, TTL ${formatSeconds(isCapped ? left : idleTimeout)}`,
    ttl: `the idle timeout is now ${formatSeconds(idleTimeout)}`,
    rotate: `a new session ID, ${now}`,
    peek: `only a peek, the TTL stays at ${formatSeconds(left)}`,
    elsewhere: `something else than this page moved the TTL to ${formatSeconds(left)}`,
    use: isLifted || isCapped ? `the idle timeout is reset, ${now}` : `it was reset less than a second before, ${now}`,
  };
  return `${request}: ${says[kind]}${isCapped ? ", because the absolute timeout comes first" : ""}`;
}

/** @param {number} ms */
export function formatSeconds(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds >= 2 * 86_400) return `${Math.round(seconds / 86_400)} days`;
  if (seconds >= 2 * 3600) return `${Math.round(seconds / 3600)} h`;
  if (seconds >= 120) return `${Math.floor(seconds / 60)} min`;
  return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.ceil(seconds)} s`;
}

/** @param {Point[]} points */
const toPath = (points) => points.join(" ");
/**
 * The area between a line and a level.
 *
 * @param {Point[]} points
 * @param {number} level
 * @returns {Point[]}
 */
const between = (points, level) => [[points[0]?.[0] ?? 0, level], ...points, [points.at(-1)?.[0] ?? 0, level]];
/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
/** @param {number} value A tenth of a pixel is seen by nobody. */
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
  /** @type {Map<object, SVGElement>} The mark of each event. */
  #markOf = new Map();

  /** @param {HTMLElement} figure */
  constructor(figure) {
    this.#svg = /** @type {SVGElement} */ (figure.querySelector("svg"));
    this.#summary = /** @type {HTMLElement} */ (figure.querySelector(".summary"));
    this.#legend = /** @type {HTMLElement} */ (figure.querySelector(".legend"));
    this.#reading = /** @type {HTMLElement} */ (figure.querySelector(".reading"));
    this.#svg.append(this.#picture, this.#marks);
    // On the figure, because Chromium gives the Tab key to an SVG element that listens to the focus.
    figure.addEventListener("keydown", (event) => this.#moveFocus(event));
    for (const type of ["pointerover", "focusin"]) figure.addEventListener(type, ({ target }) => this.#read(target));
    for (const type of ["pointerout", "focusout"]) figure.addEventListener(type, () => this.#read(null));
  }

  /** @param {number} now */
  draw(now) {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    const drawing = drawTimeline(this.timeline.events, { now, width, height });
    const { idleTimeout } = drawing;
    this.#picture.replaceChildren(
      ...drawing.unreachable.map((points) => svgElement("polygon", { class: "unreachable", points })),
      ...drawing.areas.map((points) => svgElement("polygon", { class: "area", points })),
      ...drawing.grid.map(({ x }) => svgElement("line", { class: "grid", x1: x, x2: x, y1: 0, y2: height })),
      ...drawing.grid.map(({ x, label }) => svgText(label, { x: x + 4, y: height - 6 })),
      svgElement("line", { class: "grid", x1: 0, x2: width, y1: idleTimeout.y, y2: idleTimeout.y }),
      svgText(idleTimeout.label, { x: 4, y: idleTimeout.y - 5 }),
      ...drawing.ceilings.map((points) => svgElement("polyline", { class: "ceiling", points })),
      ...drawing.projected.map((points) => svgElement("polyline", { class: "projected", points })),
      ...drawing.lines.map((points) => svgElement("polyline", { class: "line", points })),
    );
    this.#drawMarks(drawing.marks);
  }

  /**
   * A mark stays the same element from one picture to the next, so that it keeps the focus.
   *
   * @param {ReturnType<typeof drawTimeline>["marks"]} marks
   */
  #drawMarks(marks) {
    const visible = new Set(marks.map(({ event }) => event));
    const gone = Array.from(this.#markOf.keys()).filter((event) => !visible.has(/** @type {End} */ (event)));
    const isNew = marks.some(({ event }) => !this.#markOf.has(event));
    for (const event of gone) {
      this.#markOf.get(event)?.remove();
      this.#markOf.delete(event);
    }
    for (const { event, x, y, label } of marks) {
      const mark = this.#markOf.get(event) ?? this.#addMark(event, label);
      mark.setAttribute("transform", `translate(${x} ${y})`);
    }
    if (gone.length > 0 || isNew) this.#describe();
  }

  /**
   * @param {Observation | End} event
   * @param {string} label
   */
  #addMark(event, label) {
    const mark = svgElement("g", { class: `mark ${event.kind}`, "data-label": label });
    mark.append(svgElement("circle", { class: "target", r: 12 }), shapeOf(event.kind));
    if (event.kind === "peek") {
      mark.setAttribute("aria-hidden", "true");
    } else {
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", label);
    }
    this.#marks.append(mark);
    this.#markOf.set(event, mark);
    return mark;
  }

  /** Says in words what the marks say, and lets the Tab key reach one of them; the arrow keys lead to the others. */
  #describe() {
    const marks = this.#readable();
    const labels = marks.map((mark) => mark.getAttribute("aria-label"));
    this.#summary.textContent = `In the last two minutes: ${labels.join("; ") || "nothing"}.`;
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
    this.#reading.textContent = mark?.getAttribute("data-label") ?? "";
    this.#reading.hidden = mark === null;
    this.#legend.hidden = mark !== null;
  }
}

/** @param {(Observation | End)["kind"]} kind */
function shapeOf(kind) {
  if (kind === "peek") return svgElement("circle", { r: 2 });
  if (kind === "end") return svgElement("path", { d: "M-6 -12L6 0M6 -12L-6 0" });
  if (kind === "ttl") return svgElement("path", { d: "M0 -7L7 0L0 7L-7 0Z" });
  if (kind === "rotate") return svgElement("path", { d: "M-5 -5H5V5H-5Z" });
  return svgElement("circle", { r: 5 });
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function svgElement(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  return element;
}

/**
 * @param {string} text
 * @param {Record<string, string | number>} attributes
 */
function svgText(text, attributes) {
  const element = svgElement("text", attributes);
  element.textContent = text;
  return element;
}
