import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RaceLab, type RoundHistory } from "../../demo/race-lab/race-lab.ts";
import { RedisSessionStore, RedisUnavailableError } from "../../session-store.ts";
import { openRedis } from "../redis-connection.ts";
import { keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis, connect } = await openRedis();

function openLab({ absoluteTtl = 2_592_000, client = redis } = {}) {
  const prefix = newPrefix();
  const store = new RedisSessionStore({
    redis: client,
    prefix,
    ttl: 1,
    absoluteTtl,
    ...NO_HURRY,
  });
  return { lab: new RaceLab({ store, redis: client, absoluteTtl }), prefix };
}

const heldIn = ({ steps }: RoundHistory) => steps.flatMap(({ calls }) => calls.map(({ held }) => held));

describe("the race lab", () => {
  test("counts the sessions that come back after a log-out: plain ones, whole ones, and none of the store", async () => {
    const { lab } = openLab();
    const { rounds, plain, whole, store, history } = (await lab.run(45))!;
    assert.equal(rounds, 45);
    for (const { revived } of [plain, whole]) assert.ok(revived > 0 && revived <= 45, `${revived} came back`);
    assert.deepEqual(store, { revived: 0 });

    assert.deepEqual(
      history!.plain.steps.map(({ step }) => step),
      ["read", "logout", "write"],
    );
    assert.ok(history!.plain.steps.every(({ found }) => found));
    assert.deepEqual(Object.keys(history!.plain.fields).toSorted(), ["last_accessed_at", "page_views"]);
    const all = ["created_at", "last_accessed_at", "page_views", "session_ttl", "username"];
    assert.deepEqual(Object.keys(history!.whole.fields).toSorted(), all); // logged in again
    assert.deepEqual(history!.store.fields, {});
  });

  test("records what Redis held after each call", async () => {
    const { lab } = openLab();
    const { history } = (await lab.run(45))!;
    const afterLateWrite = "2 fields, page_views 2";
    assert.deepEqual(heldIn(history!.plain), ["5 fields, page_views 1", "no key", afterLateWrite, afterLateWrite]);
    assert.deepEqual(heldIn(history!.whole), ["5 fields, page_views 1", "no key", "5 fields, page_views 2"]);
    assert.deepEqual(heldIn(history!.store), ["6 fields, page_views 1", "no key", "no key"]);
  });

  test("leaves no key behind", async () => {
    const { lab, prefix } = openLab();
    await lab.run(15);
    assert.deepEqual(await keysLike(redis, `${prefix}*`), []);
  });

  test("runs each step on Redis, in the order that somebody chooses", async () => {
    const { lab } = openLab();
    const { id, plain, whole, store } = await lab.start();
    for (const { held } of [plain, whole]) assert.equal(held, "5 fields, page_views 1");
    assert.equal(store.held, "6 fields, page_views 1");
    const read = await lab.runStep("read", id);
    assert.ok(read.plain.found && read.store.found);
    const logout = await lab.runStep("logout", id);
    assert.deepEqual([logout.plain.fields, logout.store.fields], [{}, {}]);
    assert.deepEqual([logout.plain.calls[0]?.held, logout.store.calls[0]?.held], ["no key", "no key"]);
    const write = await lab.runStep("write", id);
    assert.equal(write.plain.fields["page_views"], "2");
    assert.deepEqual([write.plain.fields["username"], write.whole.fields["username"]], [undefined, "race lab"]);
    assert.deepEqual([write.store.found, write.store.fields], [false, {}]);
  });

  test("brings nothing back when the write comes before the log-out", async () => {
    const { lab } = openLab();
    const { id } = await lab.start();
    await lab.runStep("read", id);
    const write = await lab.runStep("write", id);
    assert.deepEqual([write.plain.fields["page_views"], write.store.fields["page_views"]], ["2", "2"]);
    const logout = await lab.runStep("logout", id);
    assert.deepEqual([logout.plain.fields, logout.store.fields], [{}, {}]);
  });

  test("gives every key a short expiry, within the absolute timeout", async () => {
    for (const [absoluteTtl, longest] of [
      [2_592_000, 60_000],
      [5, 5000],
    ] as const) {
      const { lab, prefix } = openLab({ absoluteTtl });
      const { id } = await lab.start();
      await lab.runStep("read", id);
      await lab.runStep("logout", id);
      await lab.runStep("write", id);
      await lab.start();
      const keys = await keysLike(redis, `${prefix}*`);
      assert.equal(keys.length, 5); // three of the new race, and the two that came back
      for (const key of keys) {
        const left = await redis.pTTL(key);
        assert.ok(left > 0 && left <= longest, `${key} expires in ${left} ms`);
      }
    }
  });

  test("leaves no key without an expiry when the connection is lost after a write of fields", async () => {
    for (const step of ["create", "write"]) {
      const client = await connect();
      const { lab, prefix } = openLab({ client });
      const { id } = step === "write" ? await lab.start() : { id: "" };
      const hSet = client.hSet.bind(client);
      Object.assign(client, {
        hSet: async (key: string, fields: Record<string, string>) => {
          const added = await hSet(key, fields);
          client.destroy();
          return added;
        },
      });
      await assert.rejects(step === "write" ? lab.runStep("write", id) : lab.start(), RedisUnavailableError);
      const keys = await keysLike(redis, `${prefix}*`);
      assert.ok(keys.length >= 2);
      for (const key of keys) assert.ok((await redis.pTTL(key)) > 0, `${key} has no expiry after ${step}`);
    }
  });

  test("runs once at a time", async () => {
    const { lab } = openLab();
    const first = lab.run(1);
    assert.equal(await lab.run(1), null);
    assert.equal((await first)?.rounds, 1);
    assert.equal((await lab.run(1))?.rounds, 1);
  });

  test("says that Redis is unavailable, and can run again afterwards", async () => {
    const client = await connect();
    const { lab } = openLab({ client });
    client.destroy();
    for (let runs = 0; runs < 2; runs++) await assert.rejects(lab.run(10), RedisUnavailableError);
    await assert.rejects(lab.start(), RedisUnavailableError);
    await assert.rejects(lab.runStep("read", "A".repeat(43)), RedisUnavailableError);
  });
});
