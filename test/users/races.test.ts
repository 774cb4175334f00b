import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SessionRevokedError, UserSessions } from "../../user-sessions.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis, connect } = await openRedis();
const CLIENTS = 8;
const ROUNDS = 300;
const USER = "andrew";

const prefix = newPrefix();
const indexKey = `${prefix}user:${createHash("sha256").update(USER).digest("base64url")}`;
const clients = [redis, ...(await Promise.all(Array.from({ length: CLIENTS - 1 }, () => connect())))];
const stores = clients.map((client) => new UserSessions({ redis: client, prefix, ...NO_HURRY }));

/** A log-in that may be refused because all sessions are ended. */
const logIn = (store: UserSessions) =>
  store.createSession({}, { user: USER }).catch((error: unknown) => {
    if (error instanceof SessionRevokedError) return null;
    throw error;
  });

test(`${ROUNDS} rounds of log-ins, rotations and reads by ${CLIENTS} clients while all others are ended`, async (t) => {
  const [store] = stores as [UserSessions];
  const kept = await store.createSession({}, { user: USER });
  let refusedLogIns = 0;
  let endedRotations = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = await Promise.all(stores.map((each) => each.createSession({}, { user: USER })));
    const loggedIn: string[] = [];
    const endAllOthers = async () => {
      const delay = round % 6; // round trips
      for (let i = 0; i < delay; i++) await store.getTtl(kept);
      const found = [...before, ...loggedIn];
      await stores[round % CLIENTS]!.endSessions(USER, { except: kept });
      return found;
    };
    const [found, logIns, rotations] = await Promise.all([
      endAllOthers(),
      Promise.all(
        stores.map(async (each) => {
          const id = await logIn(each);
          if (id !== null) loggedIn.push(id);
          return id;
        }),
      ),
      Promise.all(
        before.map(async (id, i) => {
          const each = stores[(i + round) % CLIENTS]!;
          const newId = await each.rotateSession(id);
          return newId === null ? null : each.rotateSession(newId);
        }),
      ),
      Promise.all(before.map((id, i) => stores[(i + 1) % CLIENTS]!.getSession(id))),
      Promise.all(stores.map((each) => each.listSessions(USER))),
    ]);
    refusedLogIns += logIns.filter((id) => id === null).length;
    endedRotations += rotations.filter((id) => id === null).length;

    const descendants = rotations.filter((id) => id !== null);
    for (const id of [...found, ...descendants]) assert.equal(await store.getTtl(id), null, `round ${round}`);
    const alive = [kept, ...logIns.filter((id) => id !== null)];
    const handles = (await store.listSessions(USER)).map(({ handle }) => handle);
    for (const id of alive) {
      if ((await store.getTtl(id)) !== null) assert.ok(handles.includes(store.handleOf(id)), `round ${round}`);
    }
    const keys = await keysLike(redis, `${prefix}*`);
    assert.equal(keys.length, handles.length + 1, `round ${round}: a session that is in no list`);
    await assertExpiries(redis, prefix);
    assert.equal(await store.endSessions(USER, { except: kept }), handles.length - 1);
    assert.deepEqual(await redis.zRange(indexKey, 0, -1), [kept]);
  }
  assert.ok(await store.getSession(kept));
  t.diagnostic(`${refusedLogIns} of ${ROUNDS * CLIENTS} log-ins were refused`);
  t.diagnostic(`${endedRotations} of ${ROUNDS * CLIENTS} rotations were ended`);
  assert.ok(refusedLogIns + endedRotations > 0, "The operations did not overlap");
});
