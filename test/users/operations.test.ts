import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { isSessionId, type RedisScripting, RedisUnavailableError } from "../../session-store.ts";
import { SessionRevokedError, UserSessions } from "../../user-sessions.ts";
import { openRedis, openServer } from "../redis-connection.ts";
import { assertExpiries, keysLike, neglect, newPrefix, NO_HURRY } from "../store-under-test.ts";
import { type HeldConnection, runInterleaved } from "./scheduler.ts";

const { redis, connect } = await openRedis();
const ABSOLUTE_TTL = 2_592_000;

function openSessions({ hashIds = false, absoluteTtl = ABSOLUTE_TTL, prefix = newPrefix() } = {}) {
  const fields = { name: String, page_views: Number };
  const sessions = new UserSessions({ redis, prefix, ttl: 60, absoluteTtl, hashIds, fields, ...NO_HURRY });
  const logIn = (user: string, name = "") => sessions.createSession({ name }, { user });
  const namesOf = async (user: string) => (await sessions.listSessions(user)).map(({ session }) => session.name);
  const indexKey = (user: string) => `${prefix}user:${digestOf(user)}`;
  const entriesOf = (user: string) => redis.zRange(indexKey(user), 0, -1);
  const keys = () => keysLike(redis, `${prefix}*`);
  return { sessions, prefix, logIn, namesOf, indexKey, entriesOf, keys, isAlive };

  async function isAlive(id: string): Promise<boolean> {
    return (await sessions.getTtl(id)) !== null;
  }
}

const digestOf = (text: string) => createHash("sha256").update(text).digest("base64url");
const now = () => Math.floor(Date.now() / 1000);
const SOME_ID = "A".repeat(43);

for (const hashIds of [false, true]) {
  describe(`the sessions of a user${hashIds ? ", with hashIds" : ""}`, () => {
    test("are listed with their data", async () => {
      const { sessions } = openSessions({ hashIds });
      const id = await sessions.createSession({ name: "phone", page_views: 3 }, { user: "andrew", ttl: 30 });
      const [listed, ...others] = await sessions.listSessions("andrew");
      assert.deepEqual(others, []);
      const { ttl, ...read } = (await sessions.getSession(id, { refreshTtl: false }))!;
      assert.deepEqual({ ...listed!.session, ttl }, { ...read, ttl });
      const views: number | undefined = listed!.session.page_views;
      assert.equal(views, 3);
      assert.equal(listed!.session.session_user, "andrew");
      assert.equal(listed!.session.session_ttl, 30);
    });

    test("are listed under handles, which are no IDs and open nothing", async () => {
      const { sessions, logIn } = openSessions({ hashIds });
      const id = await logIn("andrew");
      const list = await sessions.listSessions("andrew");
      assert.equal(list[0]!.handle, digestOf(id));
      assert.equal(list[0]!.handle, sessions.handleOf(id));
      assert.ok(!JSON.stringify(list).includes(id));
      assert.equal(await sessions.getSession(list[0]!.handle), null);
    });

    test("are found under the same handle in every list", async () => {
      const { sessions, logIn } = openSessions({ hashIds });
      await logIn("andrew");
      const lists = [await sessions.listSessions("andrew"), await sessions.listSessions("andrew")];
      assert.equal(lists[0]![0]!.handle, lists[1]![0]!.handle);
    });

    test("are ended one by one", async () => {
      const { sessions, logIn, namesOf, entriesOf, isAlive } = openSessions({ hashIds });
      const [phone, laptop] = [await logIn("andrew", "phone"), await logIn("andrew", "laptop")];
      assert.equal(await sessions.endSession("andrew", sessions.handleOf(phone)), true);
      assert.equal(await isAlive(phone), false);
      assert.equal(await isAlive(laptop), true);
      assert.deepEqual(await namesOf("andrew"), ["laptop"]);
      assert.equal((await entriesOf("andrew")).length, 1);
      assert.equal(await sessions.endSession("andrew", sessions.handleOf(phone)), false);
    });

    test("are ended all but one", async () => {
      const { sessions, logIn, namesOf, entriesOf, isAlive } = openSessions({ hashIds });
      const ids = [await logIn("andrew", "a"), await logIn("andrew", "b"), await logIn("andrew", "c")];
      assert.equal(await sessions.endSessions("andrew", { except: ids[1] }), 2);
      assert.deepEqual(await Promise.all(ids.map(isAlive)), [false, true, false]);
      assert.deepEqual(await namesOf("andrew"), ["b"]);
      assert.equal((await entriesOf("andrew")).length, 1);
      assert.equal(await sessions.endSessions("andrew", { except: ids[1] }), 0);
    });

    test("are all ended", async () => {
      const { sessions, logIn, entriesOf, isAlive } = openSessions({ hashIds });
      const ids = [await logIn("andrew"), await logIn("andrew")];
      assert.equal(await sessions.endSessions("andrew"), 2);
      assert.deepEqual(await Promise.all(ids.map(isAlive)), [false, false]);
      assert.deepEqual(await entriesOf("andrew"), []);
    });

    test("keep their user, their data and their place in the list in a rotation", async () => {
      const { sessions, logIn, entriesOf, isAlive } = openSessions({ hashIds });
      const id = await logIn("andrew", "phone");
      const newId = await sessions.rotateSession(id, { page_views: 1 });
      assert.ok(isSessionId(newId));
      assert.equal(await isAlive(id), false);
      const list = await sessions.listSessions("andrew");
      assert.deepEqual(
        list.map(({ handle, session }) => [handle, session.name, session.page_views]),
        [[digestOf(newId), "phone", 1]],
      );
      assert.equal((await entriesOf("andrew")).length, 1);
      assert.equal(await sessions.rotateSession(id), null);
    });

    test("leave the list when they are logged out", async () => {
      const { sessions, logIn, entriesOf } = openSessions({ hashIds });
      const id = await logIn("andrew");
      assert.equal(await sessions.deleteSession(id), true);
      assert.deepEqual(await entriesOf("andrew"), []);
      assert.equal(await sessions.deleteSession(id), false);
    });

    test("leave the list when they expire", async () => {
      const { sessions, logIn, namesOf, entriesOf } = openSessions({ hashIds });
      const id = await logIn("andrew", "phone");
      await logIn("andrew", "laptop");
      await redis.pExpireAt(sessions.keyOf(id), 1);
      assert.deepEqual(await namesOf("andrew"), ["laptop"]);
      assert.equal((await entriesOf("andrew")).length, 1);
    });

    test("are told apart from those of others, and from those of nobody", async () => {
      const { sessions, logIn, namesOf, isAlive } = openSessions({ hashIds });
      const hers = await logIn("barbara", "hers");
      const nobodys = await sessions.createSession({ name: "nobody's" });
      await logIn("andrew", "his");
      assert.deepEqual(await namesOf("andrew"), ["his"]);
      for (const id of [hers, nobodys]) {
        assert.equal(await sessions.endSession("andrew", sessions.handleOf(id)), false);
        assert.equal(await sessions.endSessions("andrew", { except: id }), id === hers ? 1 : 0);
        assert.equal(await isAlive(id), true);
      }
      assert.equal((await sessions.getSession(nobodys))!.session_user, undefined);
    });
  });
}

describe("listSessions", () => {
  test("returns the newest session first", async () => {
    const { sessions, logIn, namesOf } = openSessions();
    const ids = [await logIn("andrew", "first"), await logIn("andrew", "third"), await logIn("andrew", "second")];
    const days = ["01", "03", "02"];
    for (const [i, id] of ids.entries()) {
      await redis.hSet(sessions.keyOf(id), "created_at", `2026-04-${days[i]!}T12:00:00Z`);
    }
    assert.deepEqual(await namesOf("andrew"), ["third", "second", "first"]);
  });

  test("does not reset idle timeouts", async () => {
    const { sessions, logIn } = openSessions();
    const id = await logIn("andrew");
    await neglect(redis, sessions.keyOf(id), 20);
    const [listed] = await sessions.listSessions("andrew");
    assert.ok(listed!.session.ttl <= 20);
    assert.ok((await redis.ttl(sessions.keyOf(id))) <= 20);
  });

  test("returns nothing for a user who never logged in, and leaves no key", async () => {
    const { sessions, indexKey } = openSessions();
    assert.deepEqual(await sessions.listSessions("nobody"), []);
    assert.equal(await redis.exists(indexKey("nobody")), 0);
  });

  test("reads no more than the limit asks for, however often the user has logged in", async () => {
    const { sessions, logIn, prefix } = openSessions();
    await Promise.all(Array.from({ length: 300 }, () => logIn("andrew")));
    let longest = 0;
    const measuring: RedisScripting = {
      evalSha: async (...command) => {
        const reply = await redis.evalSha(...command);
        if (Array.isArray(reply)) longest = Math.max(longest, reply.length);
        return reply;
      },
      eval: (...command) => redis.eval(...command),
    };
    const measured = new UserSessions({ redis: measuring, prefix, ...NO_HURRY });
    assert.equal((await measured.listSessions("andrew", { limit: 10 })).length, 10);
    assert.ok(longest <= 21, `a reply of ${longest} values`);
    assert.equal((await sessions.listSessions("andrew")).length, 300);
  });

  test("returns at most as many as the limit, however many have expired", async () => {
    const { sessions, logIn, namesOf } = openSessions();
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) {
      const options = { user: "andrew", absoluteTtl: ABSOLUTE_TTL + 1000 * i };
      ids.push(await sessions.createSession({ name: String(i) }, options));
    }
    const latest = async (limit: number) =>
      (await sessions.listSessions("andrew", { limit })).map(({ session }) => session.name);
    assert.deepEqual(new Set(await latest(2)), new Set(["11", "10"]));
    for (const id of ids.slice(5)) await redis.pExpireAt(sessions.keyOf(id), 1);
    assert.deepEqual(new Set(await latest(2)), new Set(["4", "3"]));
    assert.deepEqual(new Set(await latest(3)), new Set(["4", "3", "2"]));
    assert.equal((await latest(5)).length, 5);
    assert.equal((await latest(1000)).length, 5);
    assert.equal((await namesOf("andrew")).length, 5);
    await logIn("andrew");
    for (const limit of [0, -1, 1.5, NaN, -Infinity, "3"]) {
      await assert.rejects(sessions.listSessions("andrew", { limit: limit as number }), {
        name: "RangeError",
        message: `limit must be a whole number from 1, or Infinity; got ${limit}`,
      });
    }
  });

  test("names a session once, also if log-ins move its entry while the list is read", async () => {
    const { sessions, logIn, prefix } = openSessions();
    const alive = await sessions.createSession({ name: "alive" }, { user: "andrew", absoluteTtl: 300 });
    const gone = await sessions.createSession({ name: "gone" }, { user: "andrew", absoluteTtl: 200 });
    await redis.del(sessions.keyOf(gone));
    let newer: string[] = [];
    const whileListing: RedisScripting = {
      evalSha: async (sha1, input) => {
        const reply = await redis.evalSha(sha1, input);
        if (input.arguments[0] === "list" && newer.length === 0) newer = [await logIn("andrew"), await logIn("andrew")];
        return reply;
      },
      eval: (...command) => redis.eval(...command),
    };
    const listing = new UserSessions({ redis: whileListing, prefix, timeoutMs: 60_000 });
    const handles = (await listing.listSessions("andrew", { limit: 3 })).map(({ handle }) => handle);
    assert.equal(newer.length, 2);
    assert.deepEqual(handles.toSorted(), [alive, ...newer].map((id) => sessions.handleOf(id)).toSorted());
  });

  test("leaves out a session that names another user, and does not end it", async () => {
    const { sessions, logIn, indexKey, entriesOf, isAlive } = openSessions();
    const hers = await logIn("barbara");
    const enter = () => redis.zAdd(indexKey("andrew"), { score: now() + 1000, value: hers });
    await enter();
    assert.equal(await sessions.endSession("andrew", sessions.handleOf(hers)), false);
    assert.equal(await sessions.endSessions("andrew"), 0);
    await enter();
    assert.deepEqual(await sessions.listSessions("andrew"), []);
    assert.deepEqual(await entriesOf("andrew"), []);
    assert.equal(await isAlive(hers), true);
  });

  test("ends a session that is marked", async () => {
    const { sessions, logIn, namesOf, indexKey, entriesOf, isAlive } = openSessions();
    const marked = await logIn("andrew", "phone");
    await logIn("andrew", "laptop");
    await redis.zAdd(indexKey("andrew"), { score: -now() - 1000, value: marked });
    assert.equal((await sessions.listSessions("andrew", { limit: 1 })).length, 1);
    assert.equal(await isAlive(marked), false);
    assert.deepEqual(await namesOf("andrew"), ["laptop"]);
    assert.equal((await entriesOf("andrew")).length, 1);
  });
});

describe("an entry without a session", () => {
  const scores: [title: string, score: (deadline: number) => number, isKept: boolean][] = [
    ["of a log-in that is under way stays", () => 1e12 + now() - 50, true],
    ["of a log-in that never finished is removed", () => 1e12 + now() - 70, false],
    ["of a rotation that never finished is removed", () => 2e12 + now() - 70, false],
    ["of a log-in on a server with the previous version stays", () => now() + 50, true],
    ["of a session that is gone is removed", (deadline) => deadline + 0.12345, false],
    ["with the score of a rotation in the future is removed", () => 2e12 + now() + 1000, false],
    ["with the score of a log-in in the future is removed", () => 1e12 + now() + 1000, false],
    ["that is marked is removed", (deadline) => -deadline, false],
    ["that is marked and past its deadline is removed", () => 70 - now(), false],
    ["with an infinite score is removed", () => Infinity, false],
    ["with a score of minus infinity is removed", () => -Infinity, false],
  ];
  for (const [title, score, isKept] of scores) {
    test(`${title}, and is in no list`, async () => {
      const { sessions, logIn, namesOf, indexKey, entriesOf } = openSessions();
      const id = await logIn("andrew", "phone");
      await redis.zAdd(indexKey("andrew"), { score: score(now() + ABSOLUTE_TTL), value: SOME_ID });
      assert.deepEqual(await namesOf("andrew"), ["phone"]);
      assert.deepEqual((await entriesOf("andrew")).toSorted(), isKept ? [id, SOME_ID].toSorted() : [id]);
      assert.equal(await sessions.endSession("andrew", digestOf(SOME_ID)), false);
      assert.equal(await sessions.endSessions("andrew"), 1);
      assert.deepEqual(await entriesOf("andrew"), []);
    });
  }

  test("is removed by the next log-in once it is past its deadline, also where nobody lists", async () => {
    const { logIn, indexKey, entriesOf } = openSessions();
    const id = await logIn("andrew");
    await redis.zAdd(indexKey("andrew"), { score: now() - 70, value: SOME_ID });
    const id2 = await logIn("andrew");
    assert.deepEqual((await entriesOf("andrew")).toSorted(), [id, id2].toSorted());
  });
});

describe("300 entries that another program has written, whose members are not UTF-8,", () => {
  const scores: [title: string, score: (i: number) => number][] = [
    ["with deadlines", (i) => now() + ABSOLUTE_TTL - i],
    ["with marks", (i) => -now() - i],
    ["as those of log-ins under way", () => 1e12 + now()],
    ["as those of rotations under way", () => 2e12 + now()],
    ["with infinite scores", () => Infinity],
  ];
  for (const [title, score] of scores) {
    test(`${title}, make no operation of their user last, and are removed when all are ended`, async () => {
      const { prefix, indexKey, entriesOf } = openSessions();
      let commands = 0;
      const bounded: RedisScripting = {
        evalSha: (sha1, input) => {
          commands += 1;
          return commands > 1000 ? Promise.reject(new Error("It goes on and on")) : redis.evalSha(sha1, input);
        },
        eval: (...command) => redis.eval(...command),
      };
      const sessions = new UserSessions({ redis: bounded, prefix, maxSessions: 2, ...NO_HURRY });
      const logIn = () => sessions.createSession({}, { user: "andrew" });
      await logIn();
      const entries = Array.from({ length: 300 }, (_, i) => ({
        score: score(i),
        value: Buffer.from([0xff, i >> 8, i & 0xff]),
      }));
      await redis.zAdd(indexKey("andrew"), entries);
      const ids = [await logIn(), await logIn()];
      const handles = async () => (await sessions.listSessions("andrew")).map(({ handle }) => handle);
      assert.deepEqual((await handles()).toSorted(), ids.map((id) => sessions.handleOf(id)).toSorted());
      ids[0] = (await sessions.rotateSession(ids[0]))!;
      assert.equal(await sessions.endSession("andrew", sessions.handleOf(ids[0])), true);
      assert.equal(await sessions.endSessions("andrew"), 1);
      assert.deepEqual(await entriesOf("andrew"), []);
    });
  }
});

describe("the list of a user", () => {
  test("outlives each of its sessions, and then goes by itself", async () => {
    const { sessions, indexKey, prefix } = openSessions();
    const deadlines: number[] = [];
    for (const absoluteTtl of [5000, 90_000, 60]) {
      const id = await sessions.createSession({}, { user: "andrew", absoluteTtl });
      deadlines.push((await sessions.getSession(id))!.session_deadline);
      const expiry = await redis.expireTime(indexKey("andrew"));
      const latest = Math.max(...deadlines);
      assert.ok(expiry >= latest && expiry <= latest + 120, `${expiry} for ${latest}`);
    }
    await sessions.rotateSession((await redis.zRange(indexKey("andrew"), -1, -1))[0]);
    assert.ok((await redis.expireTime(indexKey("andrew"))) >= Math.max(...deadlines));
    await assertExpiries(redis, prefix);
  });

  test("is gone when its last session is", async () => {
    const { sessions, logIn, indexKey } = openSessions();
    await sessions.deleteSession(await logIn("andrew"));
    assert.equal(await redis.exists(indexKey("andrew")), 0);
  });

  test("has the deadlines of its sessions as scores, and the fraction of the second of the log-in", async () => {
    const { sessions, logIn, indexKey } = openSessions();
    const id = await logIn("andrew");
    const { session_deadline } = (await sessions.getSession(id))!;
    const score = (await redis.zScore(indexKey("andrew"), id))!;
    assert.equal(Math.floor(score), session_deadline);
    assert.notEqual(score, session_deadline);
    const newId = (await sessions.rotateSession(id))!;
    assert.equal(await redis.zScore(indexKey("andrew"), newId), score);
  });

  test("expires with the latest of the sessions that are left", async () => {
    const { sessions, logIn, indexKey } = openSessions();
    const short = await sessions.createSession({}, { user: "andrew", absoluteTtl: 10, ttl: 1 });
    const { session_deadline } = (await sessions.getSession(short))!;
    await sessions.deleteSession(await logIn("andrew"));
    const expiry = async () => Math.floor((await redis.pExpireTime(indexKey("andrew"))) / 1000);
    assert.equal(await expiry(), session_deadline + 60);
    await logIn("andrew");
    await sessions.endSessions("andrew", { except: short });
    assert.equal(await expiry(), session_deadline + 60);
  });

  test("takes at most 16 bytes more for one session than a whole number as score", async () => {
    const { logIn, indexKey } = openSessions();
    await logIn("andrew");
    const size = await redis.memoryUsage(indexKey("andrew"));
    await redis.zAdd(indexKey("andrew"), {
      score: now() + ABSOLUTE_TTL,
      value: (await redis.zRange(indexKey("andrew"), 0, 0))[0]!,
    });
    assert.ok(size! <= (await redis.memoryUsage(indexKey("andrew")))! + 16);
  });
});

describe("what a user sees", () => {
  test("after three log-ins at once: three sessions, of which one is left when all others are ended", async () => {
    const { sessions, logIn, namesOf, isAlive } = openSessions();
    const ids = await Promise.all(["a", "b", "c"].map((name) => logIn("andrew", name)));
    assert.deepEqual(new Set(await namesOf("andrew")), new Set(["a", "b", "c"]));
    assert.equal(await sessions.endSessions("andrew", { except: ids[0] }), 2);
    assert.deepEqual(await Promise.all(ids.map(isAlive)), [true, false, false]);
  });

  test("where Redis has lost the list: a session is in it again once its ID is rotated", async () => {
    const { sessions, logIn, namesOf, indexKey, isAlive } = openSessions();
    const id = await logIn("andrew", "phone");
    await redis.del(indexKey("andrew"));
    assert.deepEqual(await namesOf("andrew"), []);
    const newId = (await sessions.rotateSession(id))!;
    assert.deepEqual(await namesOf("andrew"), ["phone"]);
    assert.equal(await sessions.endSessions("andrew"), 1);
    assert.equal(await isAlive(newId), false);
  });

  test("when all are ended during a request of another device: that device is signed out, and stays so", async () => {
    const { sessions, logIn, isAlive } = openSessions();
    for (let round = 0; round < 50; round++) {
      const [mine, other] = [await logIn("andrew"), await logIn("andrew")];
      await Promise.all([
        sessions.getSession(other),
        sessions.updateSession(other, { name: "changed" }),
        sessions.endSessions("andrew", { except: mine }),
        sessions.getSession(other),
        sessions.incrementField(other, "page_views"),
        sessions.setSessionTtl(other, 30),
      ]);
      assert.equal(await isAlive(other), false);
      assert.equal(await isAlive(mine), true);
      await sessions.deleteSession(mine);
    }
  });

  test("when all are ended during a log-in: the log-in is refused, and leaves no session", async () => {
    const { sessions, prefix, entriesOf, keys } = openSessions();
    const attempts: unknown[] = [];
    const logInThenEnd = [0, 1, 1, 0];
    await runInterleaved(
      redis,
      [
        (connection) =>
          new UserSessions({ redis: connection, prefix, ...NO_HURRY })
            .createSession({}, { user: "andrew" })
            .catch((error: unknown) => attempts.push(error)),
        (connection) => connection.hold(() => sessions.endSessions("andrew")),
      ],
      { choose: (count) => (logInThenEnd.shift() ?? 0) % count },
    );
    const [error] = attempts as [SessionRevokedError];
    assert.ok(error instanceof SessionRevokedError);
    assert.equal(error.code, "SESSION_REVOKED");
    assert.equal(error.name, "SessionRevokedError");
    assert.deepEqual(await entriesOf("andrew"), []);
    assert.deepEqual(await keys(), []);
  });

  test("who logs in again after all were ended: one session, which works", async () => {
    const { sessions, logIn, namesOf, isAlive } = openSessions();
    await logIn("andrew", "old");
    await sessions.endSessions("andrew");
    const id = await logIn("andrew", "new");
    assert.equal(await isAlive(id), true);
    assert.deepEqual(await namesOf("andrew"), ["new"]);
  });

  test("who looks at the list during a log-in: the new session now or next time, and it can be ended", async () => {
    for (let round = 0; round < 50; round++) {
      const { sessions, logIn, namesOf } = openSessions();
      const [id] = await Promise.all([logIn("andrew", "new"), namesOf("andrew"), namesOf("andrew"), namesOf("andrew")]);
      assert.deepEqual(await namesOf("andrew"), ["new"]);
      assert.equal(await sessions.endSession("andrew", sessions.handleOf(id)), true);
    }
  });

  test("who looks at the list during a log-in of over a minute: the log-in is refused, and leaves no session", async () => {
    const { prefix, indexKey, keys } = openSessions();
    const storeOn = (connection: HeldConnection) => new UserSessions({ redis: connection, prefix, ...NO_HURRY });
    const makeOld = async () => {
      const [member] = await redis.zRange(indexKey("andrew"), 0, -1);
      await redis.zAdd(indexKey("andrew"), { score: 1e12 + now() - 70, value: member! });
    };
    const [LOG_IN, LIST] = [0, 1];
    const order = [LOG_IN, LOG_IN, 1, LIST];
    const [error, ...others] = await runInterleaved(
      redis,
      [
        (connection) => storeOn(connection).createSession({ name: "new" }, { user: "andrew" }),
        (connection) => connection.hold(makeOld),
        (connection) => storeOn(connection).listSessions("andrew"),
      ],
      { choose: () => order.shift() ?? 0 },
    );
    assert.ok(error instanceof SessionRevokedError);
    assert.deepEqual(others, []);
    assert.deepEqual(await keys(), []);
  });

  test("when one of many cannot be ended: an error, and all others are ended", async () => {
    const { sessions, prefix, namesOf, keys } = openSessions();
    const count = 1200;
    await Promise.all(
      Array.from({ length: count }, (_, i) => sessions.createSession({ name: String(i) }, { user: "andrew" })),
    );
    let failures = 0;
    const failing: RedisScripting = {
      evalSha: (sha1, input) => {
        if (input.arguments[0] !== "delete" || failures > 0) return redis.evalSha(sha1, input);
        failures += 1;
        return Promise.reject(new Error("CLUSTERDOWN Hash slot not served"));
      },
      eval: (...command) => redis.eval(...command),
    };
    const interrupted = new UserSessions({ redis: failing, prefix, timeoutMs: 60_000 });
    await assert.rejects(interrupted.endSessions("andrew"), {
      name: "RedisUnavailableError",
      message: "1199 sessions were ended, but not all: CLUSTERDOWN Hash slot not served",
    });
    assert.equal((await keys()).length, 2);
    assert.deepEqual(await namesOf("andrew"), []);
    assert.deepEqual(await keys(), []);
  });

  test("on a device that could not be signed out at once: its next rotation signs it out", async () => {
    const { sessions, logIn, indexKey, isAlive } = openSessions();
    const id = await logIn("andrew");
    await redis.zAdd(indexKey("andrew"), { score: -now() - 1000, value: id });
    assert.equal(await sessions.rotateSession(id), null);
    assert.equal(await isAlive(id), false);
    assert.equal(await redis.exists(indexKey("andrew")), 0);
  });
});

describe("a user", () => {
  const names = [
    "a",
    "x".repeat(256),
    "é".repeat(128),
    "Αλέξανδρος",
    "王小明".repeat(13),
    "👩‍💻",
    "a b",
    " ",
    ":",
    "{user}",
    "user:{x}",
    "*",
    "a\nb",
    "__proto__",
  ];
  for (const user of names) {
    test(`may be ${JSON.stringify(user).slice(0, 40)}`, async () => {
      const { sessions, logIn, namesOf, isAlive } = openSessions();
      const id = await logIn(user, "phone");
      const other = await logIn("barbara", "other");
      assert.deepEqual(await namesOf(user), ["phone"]);
      assert.equal((await sessions.getSession(id))!.session_user, user);
      assert.equal(await sessions.endSessions(user), 1);
      assert.equal(await isAlive(id), false);
      assert.equal(await isAlive(other), true);
    });
  }

  const wrong: [title: string, user: unknown, error: RegExp][] = [
    ["empty", "", /^RangeError: user must have 1 to 256 bytes; got 0$/],
    ["longer than 256 bytes", "x".repeat(257), /^RangeError: user must have 1 to 256 bytes; got 257$/],
    ["longer than 256 bytes in UTF-8", "é".repeat(129), /^RangeError: user must have 1 to 256 bytes; got 258$/],
    ["a number", 42, /^TypeError: user must be a string; got number$/],
    ["null", null, /^TypeError: user must be a string; got object$/],
    ["an object", { name: "andrew" }, /^TypeError: user must be a string; got object$/],
    ["a lone surrogate", "\ud800", /^TypeError: user must be well-formed text; got a lone surrogate$/],
  ];
  for (const [title, user, error] of wrong) {
    test(`must not be ${title}: refused before Redis is touched`, async () => {
      const { sessions, keys } = openSessions();
      await assert.rejects(sessions.createSession({}, { user: user as string }), error);
      await assert.rejects(sessions.listSessions(user as string), error);
      await assert.rejects(sessions.endSession(user as string, SOME_ID), error);
      await assert.rejects(sessions.endSessions(user as string), error);
      assert.deepEqual(await keys(), []);
    });
  }

  test("cannot be changed or taken from a session by its data", async () => {
    const { sessions, logIn } = openSessions();
    const id = await logIn("andrew");
    await sessions.updateSession(id, { session_user: "barbara", name: "x" } as object);
    await sessions.updateSession(id, { session_user: null } as object);
    const newId = (await sessions.rotateSession(id, { session_user: "barbara" } as object))!;
    assert.equal((await sessions.getSession(newId))!.session_user, "andrew");
    const nobodys = await sessions.createSession({ session_user: "andrew" } as object);
    assert.equal((await sessions.getSession(nobodys))!.session_user, undefined);
  });
});

describe("other wrong arguments", () => {
  test("of a log-in are refused before Redis is touched", async () => {
    const { sessions, keys } = openSessions();
    const user = "andrew";
    await assert.rejects(sessions.createSession({}, { user, ttl: 0 }), RangeError);
    await assert.rejects(sessions.createSession({}, { user, ttl: 61, absoluteTtl: 60 }), RangeError);
    await assert.rejects(sessions.createSession({ page_views: "3" } as object, { user }), TypeError);
    assert.deepEqual(await keys(), []);
  });

  test("of a rotation are refused and change nothing", async () => {
    const { sessions, logIn, isAlive } = openSessions();
    const id = await logIn("andrew");
    await assert.rejects(sessions.rotateSession(id, { page_views: "3" } as object), TypeError);
    assert.equal(await isAlive(id), true);
  });

  const handles = [undefined, "", "x", SOME_ID, "../x", `${SOME_ID}=`, null, 3, {}];
  for (const handle of handles) {
    test(`a handle of ${JSON.stringify(handle)} is no session of the user, and changes nothing`, async () => {
      const { sessions, logIn, namesOf } = openSessions();
      await logIn("andrew", "phone");
      assert.equal(await sessions.endSession("andrew", handle as string), false);
      assert.deepEqual(await namesOf("andrew"), ["phone"]);
    });
  }

  test("the ID of a session is not its handle", async () => {
    const { sessions, logIn, isAlive } = openSessions();
    const id = await logIn("andrew");
    assert.equal(await sessions.endSession("andrew", id), false);
    assert.equal(await isAlive(id), true);
  });

  for (const id of [undefined, "", "x", SOME_ID]) {
    test(`an ID of ${JSON.stringify(id)} is no session`, async () => {
      const { sessions } = openSessions();
      assert.equal(await sessions.deleteSession(id), false);
      assert.equal(await sessions.rotateSession(id), null);
    });
  }
});

test("an index key that holds another type is an error, never an empty list or an end of nothing", async () => {
  const { sessions, logIn, keys, indexKey, isAlive } = openSessions();
  const id = await logIn("andrew");
  await redis.set(indexKey("andrew"), "text", { expiration: { type: "EX", value: 60 } });
  const error = { code: "REDIS_UNAVAILABLE", message: /WRONGTYPE/ };
  await assert.rejects(logIn("andrew"), error);
  await assert.rejects(sessions.listSessions("andrew"), error);
  await assert.rejects(sessions.endSession("andrew", sessions.handleOf(id)), error);
  await assert.rejects(sessions.endSessions("andrew"), error);
  await assert.rejects(sessions.rotateSession(id), error);
  assert.equal((await keys()).length, 2);
  assert.equal(await isAlive(id), true);
  assert.equal(await sessions.deleteSession(id), true);
});

test("a session whose deadline another program made unreadable can be rotated, and gets a new deadline", async () => {
  const { sessions, logIn } = openSessions();
  for (const deadline of ["abc", ""]) {
    const id = await logIn("andrew");
    await redis.hSet(sessions.keyOf(id), "session_deadline", deadline);
    const newId = await sessions.rotateSession(id);
    const session = await sessions.getSession(newId!);
    assert.ok(session!.session_deadline >= now() + ABSOLUTE_TTL - 60);
  }
});

test("a Redis that is unavailable is an error", async () => {
  const { prefix } = openSessions();
  const client = await connect();
  const sessions = new UserSessions({ redis: client, prefix, ...NO_HURRY });
  const id = await sessions.createSession({}, { user: "andrew" });
  client.destroy();
  await assert.rejects(sessions.createSession({}, { user: "andrew" }), RedisUnavailableError);
  await assert.rejects(sessions.rotateSession(id), RedisUnavailableError);
  await assert.rejects(sessions.deleteSession(id), RedisUnavailableError);
  await assert.rejects(sessions.listSessions("andrew"), RedisUnavailableError);
  await assert.rejects(sessions.endSession("andrew", sessions.handleOf(id)), RedisUnavailableError);
  await assert.rejects(sessions.endSessions("andrew"), RedisUnavailableError);
});

test("a full Redis refuses a log-in and a rotation, and changes nothing; a log-out, an end of one and an end of all work", async () => {
  const { redis: small } = await openServer();
  const sessions = new UserSessions({ redis: small, ...NO_HURRY });
  const logIn = () => sessions.createSession({}, { user: "andrew" });
  const ids = [await logIn(), await logIn(), await logIn(), await logIn()] as const;
  const error = { code: "REDIS_UNAVAILABLE", message: /^OOM / };
  await small.configSet("maxmemory", "1");
  await assert.rejects(logIn(), error);
  await assert.rejects(sessions.rotateSession(ids[0]), error);
  assert.equal((await sessions.listSessions("andrew")).length, 4);
  assert.equal(await sessions.endSession("andrew", sessions.handleOf(ids[1])), true);
  assert.equal(await sessions.deleteSession(ids[2]), true);
  assert.equal(await sessions.endSessions("andrew", { except: ids[0] }), 1);
  const left = await sessions.listSessions("andrew");
  assert.deepEqual(
    left.map(({ handle }) => handle),
    [sessions.handleOf(ids[0])],
  );
  await small.configSet("maxmemory", "0");
});

test("a thousand sessions of one user are listed and ended", async () => {
  const { sessions, logIn } = openSessions();
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 100 }, () => logIn("andrew")));
  assert.equal((await sessions.listSessions("andrew")).length, 1000);
  const id = await logIn("andrew");
  assert.equal(await sessions.endSessions("andrew", { except: id }), 1000);
  assert.equal((await sessions.listSessions("andrew")).length, 1);
});
