import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { drawTimeline, formatSeconds, labelOf, Timeline } from "../../views/timeline.js";

type Event = Timeline["events"][number];
type Observation = Exclude<Event, { kind: "end" }>;

/** 140 s in 1400 pixels, so that a pixel is a tenth of a second; the left edge is 0, "now" is at 1200. */
const FRAME = { now: 120_000, width: 1400, height: 115 };

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

const pointsOf = (line = "") => line.split(" ").map((point) => point.split(",").map(Number));
const draw = (events: Event[]) => drawTimeline(events, FRAME);

describe("the timeline", () => {
  test("falls by a second each second, and a use lifts it to the idle timeout", () => {
    const { lines } = draw([observe("start", 20, 100), observe("use", 60, 100)]);
    assert.equal(lines.length, 1);
    assert.deepEqual(pointsOf(lines[0]), [
      [200, 15], // the session starts with 100 s
      [600, 55], // 40 s later it has 60 s
      [600, 15],
      [1200, 75],
    ]);
  });

  test("is not lifted by a peek", () => {
    const { lines } = draw([observe("start", 20, 100), observe("peek", 60, 60)]);
    const [start, before, after, now] = pointsOf(lines[0]);
    assert.deepEqual(
      [start, before, after, now],
      [
        [200, 15],
        [600, 55],
        [600, 55],
        [1200, 115],
      ],
    );
  });

  test("stays at zero when the key has expired", () => {
    const { lines } = draw([observe("start", 0, 100)]);
    assert.deepEqual(pointsOf(lines[0]).at(-1), [1000, 115]);
  });

  test("enters at the left edge where the part before it left off", () => {
    const { lines } = draw([observe("start", -10, 100)]);
    assert.deepEqual(pointsOf(lines[0])[0], [0, 25]);
  });

  test("starts a new line for a new session", () => {
    const end = { kind: "end" as const, at: 50_000, cause: "logged out" };
    const { lines, marks } = draw([observe("start", 20, 100), end, observe("start", 70, 100)]);
    assert.deepEqual(
      lines.map((line) => pointsOf(line).at(-1)),
      [
        [500, 45],
        [1200, 65],
      ],
    );
    assert.deepEqual([marks[1]!.x, marks[1]!.y, marks[1]!.label], [500, 115, "The end: logged out"]);
  });

  test("goes on into the future as it would without any use, and not after an end", () => {
    assert.deepEqual(pointsOf(draw([observe("use", 115, 10)]).projected[0]), [
      [1200, 110],
      [1250, 115],
    ]);
    assert.deepEqual(draw([observe("start", 20, 100), { kind: "end", at: 50_000, cause: "logged out" }]).projected, []);
  });

  test("shows the absolute timeout as a ceiling that falls to zero, and nothing above it", () => {
    const { ceilings, unreachable } = draw([observe("start", 40, 60, { deadline: 120_000 })]);
    assert.deepEqual(pointsOf(ceilings[0]), [
      [400, 35],
      [1200, 115],
    ]);
    assert.deepEqual(pointsOf(unreachable[0]), [
      [400, 0],
      [400, 35],
      [1200, 115],
      [1200, 0],
    ]);
  });

  test("shows no ceiling while the absolute timeout is above the picture", () => {
    assert.deepEqual(draw([observe("start", 20, 100)]).ceilings, []);
  });

  test("is scaled to the longest idle timeout in sight", () => {
    const short = { idleTimeout: 10_000 };
    const { marks, idleTimeout } = draw([observe("start", 20, 100), observe("ttl", 60, 10, short)]);
    assert.deepEqual(
      marks.map(({ y }) => y),
      [15, 105],
    );
    assert.deepEqual(idleTimeout, { y: 15, label: "100 s" });
  });

  test("keeps two minutes, and the event before them", () => {
    const timeline = new Timeline();
    for (let second = 0; second <= 600; second += 1) timeline.record(observe("peek", second, 100));
    assert.equal(timeline.events.length, 122);
    assert.deepEqual([timeline.events[0]!.at, timeline.events.at(-1)!.at], [479_000, 600_000]);
  });

  test("names the request of each mark, and says what it did", () => {
    const start = observe("start", 0, 15, { request: "POST /login", idleTimeout: 15_000 });
    const saysAfterStart = (event: Observation) => labelOf(event, start);
    const use = { request: "POST /increment", idleTimeout: 15_000 };
    assert.equal(labelOf(start, undefined), "POST /login: the session starts, TTL 15 s");
    assert.equal(saysAfterStart(observe("use", 5, 15, use)), "POST /increment: the idle timeout is reset, TTL 15 s");
    assert.equal(
      saysAfterStart(observe("use", 0.5, 14.5, use)),
      "POST /increment: it was reset less than a second before, TTL 15 s",
    );
    assert.equal(
      saysAfterStart(observe("use", 5, 12, { ...use, deadline: 17_000 })),
      "POST /increment: the idle timeout is reset, TTL 12 s, because the absolute timeout comes first",
    );
    assert.equal(
      saysAfterStart(observe("ttl", 5, 60, { request: "POST /ttl", idleTimeout: 60_000 })),
      "POST /ttl: the idle timeout is now 60 s",
    );
    assert.equal(
      saysAfterStart(observe("peek", 5, 10, { request: "GET /session?refresh=false" })),
      "GET /session?refresh=false: only a peek, the TTL stays at 10 s",
    );
  });

  test("writes times for people", () => {
    const written = [0, 400, 9_900, 12_300, 119_000, 120_000, 7_200_000, 2_592_000_000].map(formatSeconds);
    assert.deepEqual(written, ["0 s", "0.4 s", "9.9 s", "13 s", "119 s", "2 min", "2 h", "30 days"]);
  });
});
