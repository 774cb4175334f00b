import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CommandLog } from "../../demo/explain/command-log.ts";
import { DemoStore } from "../../demo/demo-store.ts";
import { openRedis } from "../redis-connection.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis } = await openRedis();

function open() {
  const log = new CommandLog(redis);
  const store = new DemoStore({ redis: log, ttl: 60, absoluteTtl: 1000, prefix: newPrefix(), ...NO_HURRY });
  return {
    log,
    store,
    shown: () => log.commands.map(({ text, roundTrip }) => [text.replace(/ test:\S+/, " KEY"), roundTrip]),
  };
}

describe("the log of a request's commands", () => {
  test("names the operation, the key and what explains it, in round trips", async () => {
    await open().store.createSession(); // Redis has cached the script then
    const { store, shown } = open();
    const id = await store.createSession({ username: "ada" });
    await Promise.all([store.incrementField(id, "page_views"), store.getSession(id, { refreshTtl: false })]);
    await store.setSessionTtl(id, 30);
    await store.deleteSession(id);
    assert.deepEqual(shown(), [
      ["EVALSHA create KEY 60", 1],
      ["EVALSHA increment KEY page_views 1", 2],
      ["EVALSHA peek KEY", 2],
      ["EVALSHA setTtl KEY 30", 3],
      ["EVALSHA delete KEY", 4],
    ]);
  });

  test("holds no personal data, no whole ID, and no argument of an operation it does not know", async () => {
    const { log, store } = open();
    const id = await store.createSession({ username: "Grace Hopper", note: "secret" });
    await store.updateSession(id, { note: "another secret" });
    await store.rotateSession(id, { note: "a third" });
    const text = log.commands.map((command) => command.text).join("\n");
    assert.doesNotMatch(text, /Grace|secret|third|note/);
    assert.ok(!text.includes(id) && !text.includes(store.keyOf(id)), text);
  });

  test("stays small, however many commands a request sends", async () => {
    const { log, store } = open();
    const id = await store.createSession({ username: "ada" });
    await Promise.all(Array.from({ length: 1000 }, () => store.getSession(id)));
    assert.ok(log.commands.length <= 12 && JSON.stringify(log.commands).length < 2000);
  });

  test("holds a command that failed, and passes its error on", async () => {
    const { log } = open();
    await assert.rejects(log.eval("return redis.error_reply('ERR no')", { keys: ["x"], arguments: ["op"] }), /no/);
    assert.deepEqual(
      log.commands.map(({ text, ms }) => [text, Number.isFinite(ms)]),
      [["EVAL op x", true]],
    );
  });

  test("tells a script that is not cached from a command that Redis refused", async () => {
    const { log, store } = open();
    const id = await store.createSession({ page_views: "many" });
    await redis.scriptFlush();
    log.commands.length = 0;
    await assert.rejects(store.incrementField(id, "page_views"), TypeError);
    assert.deepEqual(
      log.commands.map(({ outcome }) => outcome),
      ["not cached", "refused"],
    );
  });
});
