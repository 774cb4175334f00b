import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { extname } from "node:path";
import { describe, test } from "node:test";
import { RedisSessionStore } from "../../session-store.ts";
import { type SessionReader, SessionWatch } from "../../session-watch.ts";
import { UserSessions } from "../../user-sessions.ts";
import { openRedis } from "../redis-connection.ts";
import { DURABLE, spawnRedis } from "../redis-process.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";
import { until } from "../wait.ts";
import { createClient } from "redis";

const EVERY_MS = 100;
const ABSENT_ID = "x".repeat(43);

const { redis, connect } = await openRedis();
const store = new UserSessions({ redis, prefix: newPrefix(), ...NO_HURRY });

/** A watch of the test's own, and the calls that it makes of the store. */
function watchSessions(options: { everyMs?: number; onError?: (error: unknown) => void } = {}, reader = countReads()) {
  const watch = new SessionWatch(reader, { everyMs: EVERY_MS, ...options });
  return { watch, reads: reader };
}

/** The store, and how often it was asked for each session. */
function countReads(sessions: SessionReader = store) {
  const underWay = new Map<string | undefined, number>();
  const reads = {
    total: 0,
    mostUnderWay: 0,
    mostUnderWayOfOne: 0,
    async getSession(id: string | undefined, options: { refreshTtl: false }) {
      reads.total += 1;
      underWay.set(id, (underWay.get(id) ?? 0) + 1);
      reads.mostUnderWayOfOne = Math.max(reads.mostUnderWayOfOne, underWay.get(id)!);
      reads.mostUnderWay = Math.max(
        reads.mostUnderWay,
        [...underWay.values()].reduce((sum, count) => sum + count, 0),
      );
      try {
        return await sessions.getSession(id, options);
      } finally {
        underWay.set(id, underWay.get(id)! - 1);
      }
    },
  };
  return reads;
}

/** A connection that counts how often its session ended. */
function watchOne(watch: SessionWatch, id: string | undefined) {
  const connection = { ended: 0, remove: () => {} };
  connection.remove = watch.add(id, () => (connection.ended += 1));
  return connection;
}

/** Waits for so many more checks of a watch. */
async function checked(reads: { total: number }, count = 3) {
  const enough = reads.total + count;
  assert.ok(await until(() => reads.total >= enough), "the watch does not check any more");
}

const endingAs = (user: string) => ({ ttl: 1000, absoluteTtl: 1000, user });
const ends: Record<string, (id: string, user: string) => Promise<unknown>> = {
  "a log-out": (id) => store.deleteSession(id),
  "the end of one session by its handle": (id, user) => store.endSession(user, store.handleOf(id)),
  "the end of all sessions": (_, user) => store.endSessions(user),
  "the idle timeout": (id) => redis.pExpire(store.keyOf(id), 50),
  "the absolute timeout": (id) =>
    redis.hSet(store.keyOf(id), "session_deadline", "1").then(() => store.setSessionTtl(id, 5)),
  "a key that is deleted by hand": (id) => redis.del(store.keyOf(id)),
  "a rotation that the watch is not told of": (id) => store.rotateSession(id),
};

describe("a connection is ended once, and only after its session", () => {
  for (const [cause, end] of Object.entries(ends)) {
    test(`by ${cause}`, async (t) => {
      const { watch, reads } = watchSessions();
      t.after(() => watch.close());
      const id = await store.createSession({}, endingAs(cause));
      const other = watchOne(watch, await store.createSession());
      const connection = watchOne(watch, id);
      await checked(reads, 6);
      assert.equal(connection.ended, 0);
      await end(id, cause);
      assert.ok(await until(() => connection.ended > 0));
      await checked(reads);
      assert.deepEqual([connection.ended, other.ended], [1, 0]);
    });
  }

  for (const [name, id] of [
    ["of no session", ABSENT_ID],
    ["of another form", "abc"],
    ["undefined", undefined],
  ] as const) {
    test(`if the session ID is ${name}: after the first check, not inside add`, async (t) => {
      const { watch, reads } = watchSessions();
      t.after(() => watch.close());
      const connection = watchOne(watch, id);
      assert.deepEqual([connection.ended, reads.total], [0, 0]);
      assert.ok(await until(() => connection.ended > 0));
      assert.deepEqual([connection.ended, reads.total], [1, 1]);
    });
  }
});

test("watching a session does not keep it alive", async (t) => {
  const { watch } = watchSessions();
  t.after(() => watch.close());
  const connection = watchOne(watch, await store.createSession({}, { ttl: 1 }));
  assert.ok(await until(() => connection.ended === 1));
});

test("each registration is called once, also if it is made twice with the same callback", async (t) => {
  const { watch } = watchSessions();
  t.after(() => watch.close());
  const id = await store.createSession();
  let calls = 0;
  const onEnd = () => (calls += 1);
  watch.add(id, onEnd);
  watch.add(id, onEnd);
  await store.deleteSession(id);
  assert.ok(await until(() => calls === 2));
});

test("a connection that was removed is not ended, twice or inside its own callback neither", async (t) => {
  const { watch } = watchSessions();
  t.after(() => watch.close());
  const id = await store.createSession();
  const removed = watchOne(watch, id);
  removed.remove();
  removed.remove();
  let calls = 0;
  const removeItself = watch.add(id, () => {
    calls += 1;
    removeItself();
  });
  await store.deleteSession(id);
  assert.ok(await until(() => calls === 1));
  assert.equal(removed.ended, 0);
});

test("a callback that removes the other connections of its session, or closes the watch, is the only one called", async (t) => {
  for (const isClosing of [false, true]) {
    const { watch } = watchSessions();
    t.after(() => watch.close());
    const others: { ended: number; remove: () => void }[] = [];
    let calls = 0;
    watch.add(ABSENT_ID, () => {
      calls += 1;
      if (isClosing) watch.close();
      else for (const { remove } of others) remove();
    });
    others.push(watchOne(watch, ABSENT_ID), watchOne(watch, ABSENT_ID));
    assert.ok(await until(() => calls === 1));
    assert.deepEqual(
      others.map(({ ended }) => ended),
      [0, 0],
    );
  }
});

test("a session with many connections is asked for once in an interval", async (t) => {
  const { watch, reads } = watchSessions();
  t.after(() => watch.close());
  const ids = await Promise.all([store.createSession(), store.createSession()]);
  const connections = ids.flatMap((id) => Array.from({ length: 50 }, () => watchOne(watch, id)));
  const startedAt = performance.now();
  await checked(reads, 10);
  const intervals = (performance.now() - startedAt) / EVERY_MS;
  assert.ok(reads.total <= ids.length * (intervals + 2), `${reads.total} reads in ${intervals} intervals`);
  await Promise.all(ids.map((id) => store.deleteSession(id)));
  assert.ok(await until(() => connections.every(({ ended }) => ended === 1)));
});

test("of 1,000 sessions, at most a hundred are being checked at the same time, and none is left out", async (t) => {
  const { watch, reads } = watchSessions();
  t.after(() => watch.close());
  const ids = await Promise.all(Array.from({ length: 1000 }, () => store.createSession()));
  const connections = ids.map((id) => watchOne(watch, id));
  await checked(reads, 2000);
  assert.ok(reads.mostUnderWay <= 100, `${reads.mostUnderWay} checks at once`);
  await Promise.all(ids.map((id) => store.deleteSession(id)));
  assert.ok(await until(() => connections.every(({ ended }) => ended === 1)));
});

test("nothing is asked any more when the last connection has closed, and a later one is watched again", async (t) => {
  const { watch, reads } = watchSessions();
  t.after(() => watch.close());
  const id = await store.createSession();
  const first = watchOne(watch, id);
  await checked(reads);
  first.remove();
  const { total } = reads;
  const clock = watchSessions();
  t.after(() => clock.watch.close());
  watchOne(clock.watch, id);
  await checked(clock.reads, 5);
  assert.ok(reads.total <= total + 1, "a check may have been under way, and no more");
  const later = watchOne(watch, id);
  await store.deleteSession(id);
  assert.ok(await until(() => later.ended === 1));
});

test("close during a check: no callback is called, and add does nothing", async () => {
  const reads = countReads();
  const { watch } = watchSessions({}, reads);
  const emitter = new EventEmitter();
  const started = once(emitter, "check");
  const slow = new SessionWatch(
    {
      async getSession() {
        emitter.emit("check");
        await once(emitter, "reply");
        return null;
      },
    },
    { everyMs: EVERY_MS },
  );
  const connection = watchOne(slow, ABSENT_ID);
  await started;
  slow.close();
  watchOne(slow, ABSENT_ID).remove();
  emitter.emit("reply");
  watchOne(watch, await store.createSession());
  await checked(reads);
  watch.close();
  assert.equal(connection.ended, 0);
  assert.equal(await slow.rotate(ABSENT_ID, () => store.rotateSession(ABSENT_ID)), null);
});

describe("a rotation", () => {
  test("takes the connections along, those added meanwhile too, and they end with the new ID", async (t) => {
    const { watch, reads } = watchSessions();
    t.after(() => watch.close());
    const id = await store.createSession();
    const before = watchOne(watch, id);
    let meanwhile = before;
    const newId = await watch.rotate(id, async () => {
      const rotated = await store.rotateSession(id);
      meanwhile = watchOne(watch, id);
      await checked(reads); // finds no session with the old ID
      return rotated;
    });
    await checked(reads);
    assert.deepEqual([before.ended, meanwhile.ended], [0, 0]);
    await store.deleteSession(newId ?? undefined);
    assert.ok(await until(() => before.ended === 1 && meanwhile.ended === 1));
  });

  test("at any moment of a check ends nothing", async (t) => {
    const other = new UserSessions({ redis: await connect(), prefix: newPrefix(), ...NO_HURRY });
    const { watch, reads } = watchSessions({}, countReads(other));
    t.after(() => watch.close());
    const connections = await Promise.all(
      Array.from({ length: 20 }, async () => {
        let id: string | null = await other.createSession({}, { user: "andrew" });
        const connection = watchOne(watch, id);
        for (let i = 0; i < 20; i++) {
          const oldId: string = id;
          id = await watch.rotate(oldId, () => other.rotateSession(oldId));
          assert.ok(id !== null);
          if (i % 5 === 0) await checked(reads, 20);
        }
        return connection;
      }),
    );
    await checked(reads, 40);
    assert.deepEqual(
      connections.filter(({ ended }) => ended > 0),
      [],
    );
    await other.endSessions("andrew");
    assert.ok(await until(() => connections.every(({ ended }) => ended === 1)));
  });

  test("that finds no session leaves the connections to the next check, and so does one that fails", async (t) => {
    const { watch, reads } = watchSessions();
    t.after(() => watch.close());
    const alive = await store.createSession();
    const [gone, kept] = [watchOne(watch, ABSENT_ID), watchOne(watch, alive)];
    assert.equal(await watch.rotate(ABSENT_ID, () => store.rotateSession(ABSENT_ID)), null);
    const failure = new Error("the rotation failed");
    await assert.rejects(
      watch.rotate(alive, () => Promise.reject(failure)),
      failure,
    );
    assert.ok(await until(() => gone.ended === 1));
    await checked(reads);
    assert.equal(kept.ended, 0);
    await store.deleteSession(alive);
    assert.ok(await until(() => kept.ended === 1));
  });

  test("of a session without a connection leaves nothing to check", async (t) => {
    const { watch, reads } = watchSessions();
    t.after(() => watch.close());
    const id = await store.createSession();
    assert.match((await watch.rotate(id, () => store.rotateSession(id))) ?? "", /^[\w-]{43}$/);
    const clock = watchSessions();
    t.after(() => clock.watch.close());
    watchOne(clock.watch, await store.createSession());
    await checked(clock.reads, 5);
    assert.equal(reads.total, 0);
  });
});

/** On a busy machine, a reply may take longer than the store waits here. */
async function create(sessions: RedisSessionStore): Promise<string> {
  return sessions.createSession().catch(() => create(sessions));
}

describe("an outage ends nothing, and the first check after it decides", () => {
  for (const [name, stop, goOn] of [
    ["killed", "kill", "start"],
    ["hung", "hang", "resume"],
  ] as const) {
    test(`Redis is ${name}, and comes back`, async (t) => {
      const server = await spawnRedis(t, DURABLE);
      const socket = { host: "127.0.0.1", port: server.port, reconnectStrategy: 50 };
      const client = createClient({ socket, disableOfflineQueue: true });
      client.on("error", () => {});
      await client.connect();
      t.after(() => client.destroy());
      const sessions = new RedisSessionStore({ redis: client, timeoutMs: 200 });
      const { watch, reads } = watchSessions({}, countReads(sessions));
      t.after(() => watch.close());
      const ids = await Promise.all(Array.from({ length: 150 }, () => create(sessions)));
      const connections = ids.map((id) => watchOne(watch, id));
      await checked(reads);
      await server[stop]();
      await checked(reads, 300);
      assert.ok(connections.every(({ ended }) => ended === 0));
      assert.ok(reads.mostUnderWay <= 100, `${reads.mostUnderWay} checks at once`);
      assert.equal(reads.mostUnderWayOfOne, 1);
      await server[goOn]();
      const isBack = () => sessions.getTtl(ids[0]).catch(() => null);
      assert.ok(await until(async () => (await isBack()) !== null));
      await checked(reads, 300);
      assert.ok(connections.every(({ ended }) => ended === 0));
      assert.ok(await until(() => sessions.deleteSession(ids[0]).catch(() => false)));
      assert.ok(await until(() => connections[0]?.ended === 1));
      assert.ok(connections.slice(1).every(({ ended }) => ended === 0));
    });
  }
});

describe("an error of a callback", () => {
  const failure = new Error("the callback failed");

  test("is reported, be it thrown or a rejection, and other connections are ended all the same", async (t) => {
    const errors: unknown[] = [];
    const { watch } = watchSessions({ onError: (error) => errors.push(error) });
    t.after(() => watch.close());
    watch.add(ABSENT_ID, () => {
      throw failure;
    });
    watch.add(ABSENT_ID, () => Promise.reject(failure));
    const other = watchOne(watch, ABSENT_ID);
    assert.ok(await until(() => errors.length === 2));
    assert.deepEqual([errors, other.ended], [[failure, failure], 1]);
  });

  test("is an uncaught exception if nobody asked for it", () => {
    const file = new URL(`../../session-watch${extname(import.meta.url)}`, import.meta.url);
    const script = `
      import(${JSON.stringify(file.href)}).then(({ SessionWatch }) => {
        const watch = new SessionWatch({ getSession: async () => null }, { everyMs: 100 });
        watch.add("id", () => { throw new Error("the callback failed") });
        setInterval(() => {}, 1000);
      });`;
    const child = spawnSync(process.execPath, ["--import", "tsx", "--eval", script], { encoding: "utf8" });
    assert.equal(child.status, 1);
    assert.match(child.stderr, /Error: the callback failed/);
  });
});

test("an error of the store that is no outage is reported", async (t) => {
  const errors: unknown[] = [];
  const failure = new TypeError("the store has a bug");
  const watch = new SessionWatch(
    { getSession: () => Promise.reject(failure) },
    { everyMs: EVERY_MS, onError: (error) => errors.push(error) },
  );
  t.after(() => watch.close());
  const connection = watchOne(watch, ABSENT_ID);
  assert.ok(await until(() => errors.length > 0));
  assert.deepEqual([errors[0], connection.ended], [failure, 0]);
});

for (const everyMs of [0, -1, 99, 100.5, Number.NaN, Infinity, 2 ** 31, "5000" as unknown as number]) {
  test(`everyMs ${String(everyMs)} is refused`, () => {
    const message = `everyMs must be a whole number of milliseconds from 100 to 2147483647; got ${String(everyMs)}`;
    assert.throws(() => new SessionWatch(store, { everyMs }), { name: "RangeError", message });
  });
}
