import assert from "node:assert/strict";
import { test } from "node:test";
import { openServer } from "../redis-connection.ts";
import { openStore } from "../store-under-test.ts";
import { onSession, SOME_ID, storedSession, writes } from "./every-operation.ts";

const { redis } = await openServer();
const version = /redis_version:(\d+)/.exec(await redis.info("server"))?.[1];
const skip = Number(version) < 7 ? false : "REDIS_PROGRAM does not name a Redis before 7.0";

test("every operation says that a Redis before 7.0 is too old, and writes nothing", { skip }, async () => {
  const { plain, prefix, key } = openStore(redis);
  await redis.multi().hSet(key(SOME_ID), storedSession(1000)).expire(key(SOME_ID), 50).exec();
  const expected = { name: "RedisUnavailableError", message: /Redis 7\.0 or newer, or Valkey, is required/ };
  const before = await redis.hGetAll(key(SOME_ID));
  for (const [operation, run] of [...writes, ...onSession]) {
    await assert.rejects(run(plain, SOME_ID), expected, operation);
  }
  assert.deepEqual(await redis.hGetAll(key(SOME_ID)), before);
  assert.deepEqual(await redis.keys(`${prefix}*`), [key(SOME_ID)]);
});
