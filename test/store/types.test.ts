import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { RedisSessionStore } from "../../session-store.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, newPrefix } from "../store-under-test.ts";

const { host, port, redis } = await openRedis();

interface Visit {
  username: string;
  page_views: number;
}

describe("the types", () => {
  test("know a session's fields by a type", async () => {
    const prefix = newPrefix();
    const store = new RedisSessionStore<{ username: string; page_views: number }>({ redis, prefix });
    const id = await store.createSession({ username: "andrew" });
    await store.updateSession(id, { page_views: 2 });
    await store.incrementField(id, "page_views");
    const session = await store.getSession(id);
    const texts: (string | undefined)[] = [session!.username, session!.page_views];
    const always: string[] = [session!.session_ttl, session!.created_at, session!.last_accessed_at, session!.ttl];
    assert.deepEqual(texts, ["andrew", "3"]);
    assert.equal(always.length, 4);
    // @ts-expect-error no such field
    await store.updateSession(id, { user: "andrew" });
    // @ts-expect-error not the field's type
    await store.updateSession(id, { page_views: "3" });
    // @ts-expect-error no such field
    await store.incrementField(id, "visits");
    // @ts-expect-error no such field
    assert.equal(session!.color, undefined);
    // @ts-expect-error a field may be absent
    const username: string = session!.username;
    assert.equal(username, "andrew");
    await assertExpiries(redis, prefix, 2_592_000);
  });

  test("know a session's fields by an interface", async () => {
    const prefix = newPrefix();
    const store = new RedisSessionStore<Visit>({ redis, prefix });
    const visit: Visit = { username: "andrew", page_views: 1 };
    const session = await store.getSession(await store.createSession(visit));
    assert.equal(session!.page_views, "1");
    // @ts-expect-error no such field
    await store.createSession({ user: "andrew" });
    await assertExpiries(redis, prefix, 2_592_000);
  });

  test("refuse a field that no text holds", () => {
    // @ts-expect-error an object is no session value
    const store = new RedisSessionStore<{ cart: { items: string[] } }>({ redis });
    assert.equal(store instanceof RedisSessionStore, true);
  });

  test("take a client, a cluster and a sentinel", () => {
    const sentinel = { name: "main", sentinelRootNodes: [{ host, port }] };
    for (const client of [createClient(), createCluster({ rootNodes: [] }), createSentinel(sentinel)]) {
      assert.doesNotThrow(() => new RedisSessionStore({ redis: client }));
    }
  });

  test("take a pool, which serves sessions", async () => {
    const prefix = newPrefix();
    const pool = createClientPool({ socket: { host, port }, commandOptions: { timeout: 0 } });
    await pool.connect();
    const store = new RedisSessionStore({ redis: pool, prefix });
    const id = await store.createSession({ page_views: 0 });
    await Promise.all(Array.from({ length: 100 }, () => store.incrementField(id, "page_views")));
    assert.equal((await store.getSession(id))!["page_views"], "100");
    await assertExpiries(redis, prefix, 2_592_000);
    await pool.close();
  });
});
