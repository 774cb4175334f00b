import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSessionView, type PageState } from "../../demo/page/session-view.ts";
import type { LoggedCommand } from "../../demo/explain/command-log.ts";
import type { Session } from "../../session-store.ts";

const SETTINGS = {
  cookieName: "sid",
  isCookieSecure: false,
  redisAddress: "localhost:6379",
  absoluteTtl: 1000,
};
const NOTHING_TYPED = { username: undefined, ttl: undefined, absoluteTtl: undefined, rounds: undefined };
const ID = "A".repeat(43);
const CREATED = Date.parse("2026-04-08T12:00:00Z");

/** A session of 60 s idle and 1000 s absolute timeout, `at` seconds after its creation, used `idle` seconds ago. */
interface Moment {
  at?: number;
  idle?: number;
  /** Milliseconds until the key expires. */
  left?: number;
  /** Seconds by which the server's clock was ahead of Redis' clock. */
  clockError?: number;
}

function state(
  { at = 10, idle = 0, left = 60_000 - idle * 1000, clockError = 0 }: Moment = {},
  changes: Partial<PageState> = {},
): PageState {
  const timestamp = (seconds: number) => `${new Date(CREATED + seconds * 1000).toISOString().slice(0, 19)}Z`;
  const session: Session = {
    username: "ada",
    page_views: "1",
    session_ttl: "60",
    created_at: timestamp(clockError),
    last_accessed_at: timestamp(at - idle + clockError),
    session_deadline: String(CREATED / 1000 + 1000),
    ttl: String(Math.ceil(left / 1000)),
  };
  return {
    sessionId: ID,
    key: `session:${ID}`,
    session,
    clock: { left, now: CREATED + at * 1000 },
    notice: undefined,
    mistake: undefined,
    typed: NOTHING_TYPED,
    sessions: "unread",
    race: undefined,
    costs: [],
    outage: undefined,
    ...changes,
  };
}

const clocksOf = (pageState: PageState) =>
  createSessionView(SETTINGS, pageState).clocks.map(({ id, left, of }) => [id, left, of]);

describe("the clocks", () => {
  test("are both timeouts, by what Redis says is left", () => {
    assert.deepEqual(clocksOf(state({ at: 10, idle: 3 })), [
      ["idle", 57_000, 60_000],
      ["absolute", 990_000, 1_000_000],
    ]);
  });

  test("show near the absolute end that it comes first", () => {
    assert.deepEqual(clocksOf(state({ at: 980, idle: 5, left: 20_000 })), [
      ["idle", 55_000, 60_000],
      ["absolute", 20_000, 1_000_000],
    ]);
  });

  test("show near both ends which comes first: the idle one, if the expiry is before the deadline", () => {
    assert.deepEqual(clocksOf(state({ at: 950, idle: 15, left: 45_000 })), [
      ["idle", 45_000, 60_000],
      ["absolute", 50_000, 1_000_000],
    ]);
  });

  for (const clockError of [-86_400, 86_400]) {
    test(`stay within reason when a server's clock is off by ${clockError} s`, () => {
      for (const at of [10, 980]) {
        for (const [, left, of] of clocksOf(state({ at, left: Math.min(60, 1000 - at) * 1000, clockError }))) {
          assert.ok(Number(left) > 0 && Number(left) <= Number(of), `${left} ms of ${of} ms left at ${at} s`);
        }
      }
    });
  }

  for (const session_deadline of ["text", "1e300"]) {
    test(`end with the key if another program wrote a deadline that is no time: ${session_deadline}`, () => {
      const live = state({ at: 10, idle: 3 });
      const session = { ...live.session!, session_deadline };
      const lefts = clocksOf({ ...live, session }).map(([, left]) => left);
      assert.deepEqual(lefts, [57_000, 57_000]);
    });
  }

  test("are finite if another program wrote a time of creation or of the last use that is no time", () => {
    const live = state({ at: 980, idle: 5, left: 20_000 });
    const session = { ...live.session!, created_at: "text", last_accessed_at: "text" };
    const { clocks } = createSessionView(SETTINGS, { ...live, session });
    assert.ok(clocks.every(({ left, of }) => Number.isFinite(left) && Number.isFinite(of)));
    assert.equal(clocks.length, 2);
  });

  test("are none for a session that expired while it was read", () => {
    const { state: shown, clocks, fields } = createSessionView(SETTINGS, state({ left: -2 }));
    assert.deepEqual([shown, clocks, fields], ["ended", [], []]);
  });
});

/** Finds what the page shows of a field, in a session with these fields too. */
function fieldFinder(session: Record<string, string>) {
  const live = state();
  const { fields } = createSessionView(SETTINGS, { ...live, session: Object.assign(live.session!, session) });
  return (name: string) => fields.find((field) => field.name === name);
}

describe("the fields", () => {
  test("say what they are for, and when the absolute timeout is", () => {
    const field = fieldFinder({});
    assert.equal(field("session_ttl")?.about, "idle timeout in seconds");
    assert.equal(field("session_deadline")?.time, "2026-04-08T12:16:40Z");
    assert.ok(!field("ttl"));
  });

  test("may have any name", () => {
    const field = fieldFinder(Object.fromEntries(["constructor", "toString"].map((name) => [name, "text"])));
    assert.deepEqual([field("constructor")?.about, field("toString")?.about], ["", ""]);
  });

  for (const session_deadline of ["text", "1e300"]) {
    test(`may hold what is no time: a deadline of ${session_deadline}`, () => {
      assert.equal(fieldFinder({ session_deadline })("session_deadline")?.time, "");
    });
  }
});

describe("the form", () => {
  test("offers no TTL above the absolute timeout, neither in the box nor on a button", () => {
    const { largest, choices } = createSessionView({ ...SETTINGS, absoluteTtl: 60 }, state()).ttl;
    assert.equal(largest, 60);
    assert.deepEqual(
      choices.map(({ ttl }) => ttl),
      [15, 30, 60],
    );
  });

  for (const [absoluteTtl, text] of [
    [86_400, "1 day"],
    [172_800, "2 days"],
    [7200, "2 h"],
    [90, "90 s"],
  ] as const) {
    test(`names the absolute timeout of the server: ${text}`, () => {
      const { choices } = createSessionView({ ...SETTINGS, absoluteTtl }, state()).absoluteTtl;
      assert.equal(choices.at(-1)?.text, text.replace(" ", "\u00a0"));
    });
  }

  test("keeps what was typed, and shows a mistake at its field only", () => {
    const mistake = { message: "TTL must be at most 60 seconds.", field: "ttl" };
    const typed = { ...NOTHING_TYPED, username: "grace", ttl: "61" };
    const { username, ttl, notices } = createSessionView(SETTINGS, state({}, { mistake, typed }));
    assert.deepEqual(username, { value: "grace", mistake: "" });
    assert.deepEqual([ttl.value, ttl.mistake], ["61", mistake.message]);
    assert.ok(notices.every(({ isBad }) => !isBad));
  });
});

describe("the form after an end", () => {
  for (const [absoluteTtl, chosen] of [
    [60, 60],
    [301, 300], // the clocks of Redis and of the server differ
    [100, 1000],
    [1000, 1000],
  ]) {
    test(`offers the timeouts of the session that ended: ${absoluteTtl} s, of which the form has ${chosen} s`, () => {
      const live = state();
      const session_deadline = String(CREATED / 1000 + absoluteTtl!);
      const { ended } = createSessionView(SETTINGS, { ...live, session: { ...live.session!, session_deadline } });
      assert.deepEqual(
        [ended!.username.value, ended!.ttl.value, ended!.ttl.text, ended!.absoluteTtl.chosen],
        ["ada", "60", "1\u00a0min", chosen],
      );
    });
  }
});

const command = (roundTrip: number): LoggedCommand => ({
  text: "EVALSHA peek",
  operation: "peek",
  args: [],
  outcome: "done",
  ms: 1.234,
  roundTrip,
});

describe("the cost", () => {
  test("counts round trips, not commands, and adds up the click and its page load", () => {
    const costs = [
      { request: "GET /", commands: [command(1), command(1)] },
      { request: "POST /rotate", commands: [command(1), command(2), command(2)] },
    ];
    const [cost] = createSessionView(SETTINGS, state({}, { costs })).costs;
    assert.equal(cost?.title, "POST /rotate, then GET /");
    assert.equal(cost.roundTrips, "3 round trips to Redis, where scripts run 10 commands");
    assert.deepEqual(
      cost.requests.map(({ title }) => title),
      ["POST /rotate: 2 round trips to Redis", "GET /: 1 round trip to Redis"],
    );
    assert.equal(cost.requests[0]?.commands[0]?.ms, "1.23 ms");
  });

  test("may be nothing", () => {
    const [cost] = createSessionView(SETTINGS, state({}, { costs: [{ request: "GET /", commands: [] }] })).costs;
    assert.equal(cost?.roundTrips, "nothing to ask Redis");
  });
});

describe("the notice", () => {
  test("is the mistake that is about no field, else the notice, else the state of the session", () => {
    const mistake = { message: "Session expired", field: undefined };
    const headings = [
      state({}, { session: null, mistake, notice: "counted" }),
      state({}, { notice: "counted" }),
      state(),
      state({}, { session: null }),
      state({}, { session: null, sessionId: undefined, key: undefined }),
    ].map((pageState) =>
      createSessionView(SETTINGS, pageState).notices.map(({ heading, text }) => `${heading} ${text}`),
    );
    const expected = [/^Session expired\. /, /Page view counted/, /session is live/, /^Session ended\. /, /no session/];
    for (const [i, [notice = "", ...more]] of headings.entries()) {
      assert.match(notice, expected[i]!);
      assert.deepEqual(more, []);
    }
  });
});

test("the cost of a race is not counted as nothing", () => {
  const costs = ["GET /", "POST /race"].map((request) => ({ request, commands: [] }));
  const [cost] = createSessionView(SETTINGS, state({}, { costs })).costs;
  assert.deepEqual([cost!.title, cost!.roundTrips], ["POST /race, then GET /", "not counted"]);
});
