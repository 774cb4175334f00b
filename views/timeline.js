/*
 * The timeline: the TTL of the session, what moved it, and when it will end. `Timeline` and `drawTimeline` know nothing of
 * the page, so that they can be tested by themselves; `TimelineChart` shows the drawing as SVG.
 * Times are in milliseconds, on the clock of `performance.now()`.
 */

/** In idle timeouts: how far the picture goes back, and how long it is. So the end of a session is always in view. */
const PAST = 1.3;
const LENGTH = 2.5;
/** In idle timeouts: for how long the picture goes on after an end. */
const AFTER_END = 0.25;
const SECOND = 1000;
const DAY = 86_400 * SECOND;
const GRID_SECONDS = [1, 5, 10, 30, 60, 300, 600, 1800, 7200, 21_600];
const GRID_DAYS = [1, 7, 30, 365, 3650, 36_500];
const GRID_MS = [...GRID_SECONDS.map((seconds) => seconds * SECOND), ...GRID_DAYS.map((days) => days * DAY)];
const GRID_PX = 64; // room for a label
const MAX_TIMES = 14; // labels, even where there is room for more
const EDGE_PX = 16; // half a label
const REACH_PX = 22; // how far from a mark one may point at it: a finger is 44 wide
const PEEK_PX = 5; // peeks that are closer together are left out
const MAX_EVENTS = 400;
const HEADROOM = 1.15; // the highest idle timeout is drawn below the upper edge
export const DELAY_MS = 300; // a smaller difference is the delay of the network
const MAX_LABELS = 12; // in the summary: with a read each second there are many
const SVG = "http://www.w3.org/2000/svg";

const circle = (/** @type {number} */ r) => `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`;

/** @type {Record<string, [path: string, meaning: string]>} The symbols in the order of the legend. */
const SYMBOLS = {
  start: ["M0 -8V8", "start"],
  reset: [circle(6), "idle timeout reset"],
  use: [circle(4), "use that does not move the end"],
  peek: [circle(2), "peek by this page: no reset"],
  ttl: ["M0 -8L8 0L0 8L-8 0Z", "new idle timeout"],
  rotate: ["M-6 -6H6V6H-6Z", "new session ID"],
  elsewhere: ["M0 -7L7 6H-7Z", "changed elsewhere"],
  end: ["M-7 -7L7 7M7 -7L-7 7", "end"],
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

/** What happened within the picture, the oldest first. */
export class Timeline {
  /** @type {Event[]} */
  events = [];

  /** @param {Event} event */
  record(event) {
    const last = this.events.at(-1);
    const timeout = timeoutOf([...this.events, event]);
    const isDense = event.kind === "peek" && last?.kind === "peek" && event.at - last.at < timeout / 90;
    if (isDense) return;
    this.events.push(event);
    const firstInside = this.events.findIndex(({ at }) => at >= event.at - PAST * timeout);
    // The line enters the picture where the event before left it.
    this.events.splice(0, Math.max(firstInside - 1, this.events.length - MAX_EVENTS));
  }
}

/**
 * The idle timeout of the newest session, to which the picture is fitted.
 *
 * @param {Event[]} events
 */
function timeoutOf(events) {
  const timeouts = events.flatMap((event) => (event.kind === "end" ? [] : event.idleTimeout));
  return Math.max(timeouts.at(-1) ?? 0, SECOND);
}

/**
 * The picture, in pixels. It begins with what is known, and stands still after an end.
 *
 * @param {Event[]} events
 * @param {{ now: number, width: number, height: number, nowLabel?: string }} frame
 */
export function drawTimeline(events, { now: presentTime, width, height, nowLabel = "now" }) {
  const newest = events.at(-1);
  const timeout = timeoutOf(events);
  const now = newest?.kind === "end" ? Math.min(presentTime, newest.at + AFTER_END * timeout) : presentTime;
  const start = Math.max(now - PAST * timeout, events[0]?.at ?? now);
  const end = start + LENGTH * timeout;
  const x = (/** @type {number} */ at) => round((width * (at - start)) / (end - start));
  const y = (/** @type {number} */ left) => round(height * (1 - Math.min(Math.max(left / (timeout * HEADROOM), 0), 1)));
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
    const visibleFrom = Math.max(from, deadline - timeout * HEADROOM);
    const visibleTo = Math.min(isLast ? end : to, deadline);
    return visibleFrom < visibleTo ? [[point(visibleFrom, deadline), point(visibleTo, deadline)]] : [];
  });

  const last = spans.at(-1);
  const running = last?.isLast && last.expiresAt > now ? last : undefined;
  const peekMs = (PEEK_PX * (end - start)) / width;
  const step = GRID_MS.find((ms) => x(start + ms) >= Math.max(GRID_PX, width / MAX_TIMES)) ?? LENGTH * timeout;
  const zero = newest?.kind === "end" ? newest.at : now;
  const stepsBack = Math.floor((zero - start) / step);

  return {
    lines,
    projected: running ? [[point(now, running.expiresAt), point(running.expiresAt, running.expiresAt)]] : [],
    ceilings,
    marks: events.flatMap((event, index) => {
      const before = events[index - 1];
      const isDense = event.kind === "peek" && Math.floor(event.at / peekMs) === Math.floor((before?.at ?? 0) / peekMs);
      if (event.at < start || isDense) return [];
      const left = event.kind === "end" ? 0 : event.expiresAt - event.at;
      return [{ event, x: x(event.at), y: y(left), symbol: symbolOf(event, before), label: labelOf(event, before) }];
    }),
    grid: Array.from({ length: Math.ceil((end - start) / step) }, (_, index) => {
      const offset = (index - stepsBack) * step;
      const label = `${offset < 0 ? "−" : "+"}${formatSeconds(Math.abs(offset))}`;
      return { x: x(zero + offset), label: offset !== 0 ? label : newest?.kind === "end" ? "end" : nowLabel };
    }).filter((line) => line.x <= width - EDGE_PX),
    /** Where the line is now and where it will end, if nobody uses the session. */
    head: running && { x: x(now), y: y(running.expiresAt - now), label: formatSeconds(running.expiresAt - now) },
    foot: running && x(running.expiresAt),
    idleTimeout: { y: y(timeout), label: formatSeconds(timeout) },
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
  const isReset = isFirst ? expiresAt - at > idleTimeout - DELAY_MS : expiresAt - before.expiresAt > DELAY_MS;
  return isReset ? "reset" : "use";
}

/** @param {Observation} observation */
const isCapped = ({ at, expiresAt, idleTimeout, deadline }) =>
  deadline - expiresAt < DELAY_MS && expiresAt - at < idleTimeout - DELAY_MS;

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
    figure.addEventListener("focusin", ({ target }) => this.#read(/** @type {Element} */ (target).closest(".mark")));
    for (const type of ["focusout", "pointerleave"]) figure.addEventListener(type, () => this.#read(null));
    for (const type of ["pointermove", "click"]) {
      figure.addEventListener(type, (event) => this.#read(this.#nearest(/** @type {MouseEvent} */ (event))));
    }
  }

  /**
   * @param {number} now
   * @param {string} nowLabel
   */
  draw(now, nowLabel) {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    const drawing = drawTimeline(this.timeline.events, { now, width, height, nowLabel });
    const { idleTimeout, grid, head, foot = 0 } = drawing;
    this.#picture.replaceChildren(
      ...grid.map(({ x }) => svgElement("line", { class: "grid", x1: x, x2: x, y1: 0, y2: height })),
      ...grid.map(({ x, label }) => svgElement("text", { class: "time", x, y: height + 19 }, label)),
      svgElement("line", { class: "grid level", x1: 0, x2: width, y1: idleTimeout.y, y2: idleTimeout.y }),
      svgElement("text", { x: -7, y: idleTimeout.y + 4 }, idleTimeout.label),
      svgElement("text", { x: -7, y: height + 2 }, "0"),
      ...drawing.ceilings.map((points) => svgElement("polyline", { class: "ceiling", points })),
      ...drawing.projected.map((points) => svgElement("polyline", { class: "projected", points })),
      ...drawing.lines.map((points) => svgElement("polyline", { class: "line", points })),
      ...(head
        ? [
            svgElement("path", {
              class: "projected",
              d: "M-5 -5L5 5M5 -5L-5 5",
              transform: `translate(${foot} ${height})`,
            }),
            svgElement("text", { class: "foot", x: foot + 10, y: height - 8 }, "end"),
            svgElement("circle", { class: "head", cx: head.x, cy: head.y, r: 4 }),
            svgElement("text", { class: "head", x: head.x + 9, y: head.y - 7 }, head.label),
          ]
        : []),
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
    this.#summary.textContent = `What happened: ${changes.slice(-MAX_LABELS).join("; ") || "nothing"}.`;
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

  /**
   * The mark that is pointed at. Marks may be so close that they cover each other.
   *
   * @param {MouseEvent} event
   */
  #nearest({ clientX, clientY }) {
    let [nearest, least] = [/** @type {Element | null} */ (null), REACH_PX];
    for (const mark of this.#marks.children) {
      const { left, right, top, bottom } = mark.getBoundingClientRect();
      const distance = Math.hypot(clientX - (left + right) / 2, clientY - (top + bottom) / 2);
      if (distance <= least) [nearest, least] = [mark, distance];
    }
    return nearest;
  }

  /** @param {Element | null} pointed Null for the one that has the focus. */
  #read(pointed) {
    const mark = pointed ?? this.#marks.querySelector(":focus-visible");
    for (const each of this.#marks.children) each.classList.toggle("pointed", each === mark);
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
