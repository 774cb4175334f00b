import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { connectRedis } from "../../redis-connection/index.ts";
import { RedisUnavailableError } from "../../session-store.ts";
import { UserSessions } from "../../user-sessions.ts";
import { type ClusterNode, spawnCluster } from "../redis-cluster.ts";
import { until } from "../wait.ts";

const RECOVERY_LIMIT_MS = 30_000;
const USER = "andrew";
const INDEX_KEY = `session:user:${createHash("sha256").update(USER).digest("base64url")}`;

const sessionKeysIn = async (node: ClusterNode) =>
  ((await node.send("KEYS", "session:*")) as string[]).filter((key) => key !== INDEX_KEY);
const hasIndex = async (node: ClusterNode) => ((await node.send("KEYS", INDEX_KEY)) as string[]).length === 1;

test("ending all sessions while a master hangs", { timeout: 300_000 }, async (t) => {
  const cluster = await spawnCluster(t);
  const redis = await connectRedis(
    { host: "127.0.0.1", port: cluster.nodes[0]!.port, cluster: true },
    { log: () => {} },
  );
  t.after(() => redis.close());
  const sessions = new UserSessions({ redis });
  const ids = await Promise.all(Array.from({ length: 60 }, () => sessions.createSession({}, { user: USER })));
  const kept = ids[0]!;
  const masters = await cluster.masters();
  const holdIndex = await Promise.all(masters.map(hasIndex));
  const indexNode = masters[holdIndex.indexOf(true)]!;
  const keptKey = sessions.keyOf(kept);
  const others = masters.filter((master) => master !== indexNode);
  const keysOfOthers = await Promise.all(others.map(sessionKeysIn));
  const lost = keysOfOthers[0]!.includes(keptKey) ? 1 : 0;
  const lostMembers = keysOfOthers[lost]!.map((key) => key.slice("session:".length));
  assert.ok(lostMembers.length > 0 && lostMembers.length < ids.length - 1);
  await cluster.waitUntilReplicated();

  others[lost]!.hang();
  await t.test("is an error, and never a success", () =>
    assert.rejects(sessions.endSessions(USER, { except: kept }), RedisUnavailableError),
  );

  await t.test("ends what is in reach, and marks what is not", async () => {
    for (const member of lostMembers) {
      const score = Number(await indexNode.send("ZSCORE", INDEX_KEY, member));
      assert.ok(score < 0, `${member} is not marked`);
    }
    assert.ok(Number(await indexNode.send("ZSCORE", INDEX_KEY, kept)) > 0);
    const left = await Promise.all(masters.filter((master) => master !== others[lost]).map(sessionKeysIn));
    assert.deepEqual(left.flat(), [keptKey]);
  });

  await t.test("is completed by the next call, once a replica has taken over", async () => {
    let ended = 0;
    const end = async () => {
      try {
        ended += await sessions.endSessions(USER, { except: kept });
        return true;
      } catch (error) {
        assert.ok(error instanceof RedisUnavailableError, String(error));
        return false;
      }
    };
    assert.ok(await until(end, RECOVERY_LIMIT_MS), "It never succeeds");
    assert.ok(ended <= lostMembers.length);
    const alive = await Promise.all(ids.map((id) => sessions.getTtl(id)));
    assert.deepEqual(
      ids.filter((_, i) => alive[i] !== null),
      [kept],
    );
    assert.deepEqual(await indexNode.send("ZRANGE", INDEX_KEY, "0", "-1"), [kept]);
  });

  await t.test("leaves nothing behind when the lost master returns", async () => {
    others[lost]!.resume();
    assert.ok(await until(cluster.isWhole, RECOVERY_LIMIT_MS), "The cluster does not recover");
    const keys = await Promise.all((await cluster.masters()).map(sessionKeysIn));
    assert.deepEqual(keys.flat(), [keptKey]);
    assert.equal((await sessions.listSessions(USER)).length, 1);
  });
});
