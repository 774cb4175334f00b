import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { drawTimeline, formatSeconds, labelOf, Timeline } from "../../views/timeline.js";

type Event = Timeline["events"][number];
type Observation = Exclude<Event, { kind: "end" }>;

/** 250 s in 2500 pixels, so that a pixel is a tenth of a second. A picture that begins at 0 has "now" at 1200. */
const FRAME = { now: 120_000, width: 2500, height: 115 };

/** A session with an idle timeout of 100 s, whose TTL in seconds is then also its height in pixels. */
function observe(
  kind: Observation["kind"],
  atSeconds: number,
  ttlSeconds: number,
  more: Partial<Observation> = {},
): Observation {
  const at = atSeconds * 1000;
  const expiresAt = at + ttlSeconds * 1000;
  return { kind, at, expiresAt, request: "GET /", idleTimeout: 100_000, deadline: 9_000_000, ...more };
}

const draw = (events: Event[]) => drawTimeline(events, FRAME);
const symbolsOf = (...events: Event[]) => draw(events).marks.map(({ symbol }) => symbol);
/** The labels along the foot of the picture, and where they are, so many seconds after the start of a session. */
const timesAfter = (seconds: number) =>
  drawTimeline([observe("start", 0, 100)], { ...FRAME, now: seconds * 1000 }).grid.map(
    ({ x, label }) => `${x}: ${label}`,
  );

describe("the timeline", () => {
  test("falls by a second each second, and a use lifts it to the idle timeout", () => {
    const { lines } = draw([observe("start", 0, 100), observe("use", 40, 100)]);
    assert.deepEqual(lines, [
      [
        [0, 15], // the session starts with 100 s
        [400, 55], // 40 s later it has 60 s
        [400, 15],
        [1200, 95],
      ],
    ]);
  });

  test("is not lifted by a peek", () => {
    const { lines } = draw([observe("start", 0, 100), observe("peek", 40, 60)]);
    assert.deepEqual(lines, [
      [
        [0, 15],
        [400, 55],
        [400, 55],
        [1000, 115],
      ],
    ]);
  });

  test("stays at zero when the key has expired", () => {
    const { lines } = draw([observe("start", 0, 100)]);
    assert.deepEqual(lines[0]!.at(-1), [1000, 115]);
  });

  test("enters at the left edge where the part before it left off", () => {
    const { lines } = draw([observe("start", -20, 100)]);
    assert.deepEqual(lines[0]![0], [0, 25]); // ten seconds later, at the edge
  });

  test("starts a new line for a new session", () => {
    const end = { kind: "end" as const, at: 30_000, cause: "logged out" };
    const { lines, marks } = draw([observe("start", 0, 100), end, observe("start", 50, 100)]);
    assert.deepEqual(
      lines.map((line) => line.at(-1)),
      [
        [300, 45],
        [1200, 85],
      ],
    );
    assert.deepEqual([marks[1]!.x, marks[1]!.y, marks[1]!.label], [300, 115, "The end: logged out"]);
  });

  test("goes on into the future as it would without any use, and not after an end", () => {
    const start = observe("start", 0, 100);
    const { projected, head, foot } = draw([start, observe("use", 115, 10)]);
    assert.deepEqual(projected, [
      [
        [1200, 110],
        [1250, 115],
      ],
    ]);
    assert.deepEqual([head, foot], [{ x: 1200, y: 110, label: "5 s" }, 1250]);
    assert.deepEqual(draw([start, { kind: "end", at: 30_000, cause: "logged out" }]).projected, []);
  });

  test("shows the absolute timeout as a ceiling that falls to zero", () => {
    const { ceilings } = draw([
      observe("start", 0, 60, { idleTimeout: 60_000 }),
      observe("use", 40, 60, { deadline: 120_000 }),
    ]);
    assert.deepEqual(ceilings, [
      [
        [400, 35],
        [1200, 115],
      ],
    ]);
  });

  test("shows no ceiling while the absolute timeout is above the picture", () => {
    assert.deepEqual(draw([observe("start", 0, 100)]).ceilings, []);
  });

  for (const idleTimeout of [1000, 15_000, 60_000, 1_800_000, 3_153_600_000_000]) {
    test(`is fitted to the idle timeout, so that the end is always in view: ${idleTimeout / 1000} s`, () => {
      for (const uses of [1, 2, 5, 30]) {
        const events = Array.from({ length: uses }, (_, index) => {
          const at = (index * idleTimeout) / 2;
          return { ...observe("use", at / 1000, 0), idleTimeout, expiresAt: at + idleTimeout };
        });
        const { foot, head, idleTimeout: level, grid } = drawTimeline(events, { ...FRAME, now: events.at(-1)!.at + 1 });
        assert.ok(foot! > head!.x && foot! < FRAME.width, `the end is at ${foot}`);
        assert.equal(level.y, 15);
        assert.ok(grid.some(({ label }) => label === "now") && grid.length > 1);
      }
    });
  }

  test("is fitted to the newest idle timeout, and cuts off what is higher", () => {
    const short = { idleTimeout: 10_000 };
    const { marks, idleTimeout } = drawTimeline([observe("start", 0, 100), observe("ttl", 40, 10, short)], {
      ...FRAME,
      now: 45_000,
    });
    assert.deepEqual(
      marks.map(({ y }) => y),
      [15],
    );
    assert.deepEqual(idleTimeout, { y: 15, label: "10 s" });
    assert.deepEqual(draw([observe("start", 0, 60), observe("peek", 1, 250)]).marks.at(-1)!.y, 0);
  });

  test("begins with what is known", () => {
    assert.deepEqual(timesAfter(0).slice(0, 3), ["0: now", "300: +30 s", "600: +60 s"]);
    assert.deepEqual(timesAfter(45).slice(0, 3), ["150: −30 s", "450: now", "750: +30 s"]);
  });

  test("stands still after an end, and counts its times from there", () => {
    const events = [observe("start", 0, 100), { kind: "end" as const, at: 100_000, cause: "" }];
    const at = (seconds: number) => drawTimeline(events, { ...FRAME, now: seconds * 1000 });
    assert.deepEqual(at(1000), at(200));
    assert.ok(at(200).grid.some(({ x, label }) => x === 1000 && label === "end"));
    assert.ok(!at(200).grid.some(({ label }) => label === "now"));
  });

  test("has fewer times along its foot where it is narrow", () => {
    const { grid } = drawTimeline([observe("start", 0, 100)], { ...FRAME, width: 280 });
    assert.deepEqual(
      grid.map(({ label }) => label),
      ["−2 min", "−60 s", "now", "+60 s"],
    );
  });

  test("leaves out peeks where they are dense, and nothing else", () => {
    const events = Array.from({ length: 120 }, (_, second) => observe(second % 10 === 0 ? "use" : "peek", second, 100));
    const drawnPeeks = (width: number) => {
      const { marks } = drawTimeline(events, { ...FRAME, width });
      assert.equal(marks.filter(({ event }) => event.kind === "use").length, 12);
      return marks.length - 12;
    };
    assert.equal(drawnPeeks(2500), 108);
    assert.ok(drawnPeeks(320) < 40);
  });

  test("has the symbol of a reset only for a use that reset the idle timeout", () => {
    assert.deepEqual(symbolsOf(observe("use", 0, 100), observe("use", 0.5, 99.5), observe("use", 1.5, 100)), [
      "reset",
      "use",
      "reset",
    ]);
    assert.deepEqual(symbolsOf(observe("use", 0, 99.5)), ["use"]); // a page that is loaded again
    const capped = { deadline: 80_000 };
    assert.deepEqual(symbolsOf(observe("use", 0, 60), observe("use", 10, 70, capped), observe("use", 20, 60, capped)), [
      "use",
      "reset",
      "use",
    ]);
  });

  test("keeps what is in the picture and the event before it, and peeks only as far apart as can be seen", () => {
    const timeline = new Timeline();
    for (let second = 0; second <= 600; second += 1) timeline.record(observe("use", second, 100));
    assert.equal(timeline.events.length, 132);
    assert.deepEqual([timeline.events[0]!.at, timeline.events.at(-1)!.at], [469_000, 600_000]);
    for (let ms = 0; ms < 10_000; ms += 100) timeline.record(observe("peek", 601 + ms / 1000, 99));
    assert.equal(timeline.events.filter(({ kind }) => kind === "peek").length, 9);
  });

  test("stays small with a long timeout and a use each second", () => {
    const timeline = new Timeline();
    const long = { idleTimeout: 86_400_000 };
    for (let second = 0; second <= 3000; second += 1) timeline.record(observe("use", second, 86_400, long));
    assert.equal(timeline.events.length, 400);
  });

  test("names the request of each mark, and says what it did", () => {
    const start = observe("start", 0, 15, { request: "POST /login", idleTimeout: 15_000 });
    const saysAfterStart = (event: Observation) => labelOf(event, start);
    const use = { request: "POST /increment", idleTimeout: 15_000 };
    assert.equal(labelOf(start, undefined), "POST /login: the session starts, TTL 15 s");
    assert.equal(saysAfterStart(observe("use", 5, 15, use)), "POST /increment: the idle timeout is reset, TTL 15 s");
    assert.equal(
      saysAfterStart(observe("use", 0.5, 14.5, use)),
      "POST /increment: the idle timeout was reset less than a second before, TTL 15 s",
    );
    assert.equal(
      saysAfterStart(observe("use", 5, 12, { ...use, deadline: 17_000 })),
      "POST /increment: the idle timeout is reset, TTL 12 s; the absolute timeout comes first",
    );
    assert.equal(
      saysAfterStart(observe("ttl", 5, 60, { request: "POST /ttl", idleTimeout: 60_000 })),
      "POST /ttl: the idle timeout is now 60 s",
    );
    assert.equal(
      saysAfterStart(observe("peek", 5, 10, { request: "GET /session?refresh=false" })),
      "GET /session?refresh=false: a peek, which resets nothing, TTL 10 s",
    );
  });

  test("writes times for people", () => {
    const written = [0, 400, 9_900, 12_300, 119_000, 120_000, 7_200_000, 2_592_000_000].map(formatSeconds);
    assert.deepEqual(written, ["0 s", "0.4 s", "9.9 s", "13 s", "119 s", "2 min", "2 h", "30 days"]);
  });
});
