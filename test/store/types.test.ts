import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { type FieldTypes, type Session, type SessionData, RedisSessionStore } from "../../session-store.ts";
import { openServer } from "../redis-connection.ts";
import { assertExpiries, newPrefix, NO_HURRY } from "../store-under-test.ts";

const { host, port, redis } = await openServer();

const FIELDS = { username: String, page_views: Number, admin: Boolean, cart: JSON };

describe("the types", () => {
  test("are inferred from the option fields", async () => {
    const prefix = newPrefix();
    const store = new RedisSessionStore({ redis, prefix, fields: FIELDS, ...NO_HURRY });
    const id: string = await store.createSession({ username: "andrew" });
    await store.updateSession(id, { page_views: 2, admin: null, cart: { items: [] }, username: undefined });
    await store.incrementField(id, "page_views");
    const session = await store.getSession(id);
    const username: string | undefined = session!.username;
    const pageViews: number | undefined = session!.page_views;
    const admin: boolean | undefined = session!.admin;
    const cart: unknown = session!.cart;
    const times: [string, string] = [session!.created_at, session!.last_accessed_at];
    const seconds: [number, number, number] = [session!.ttl, session!.session_ttl, session!.session_deadline];
    assert.deepEqual([username, pageViews, admin, cart], ["andrew", 3, undefined, { items: [] }]);
    assert.equal(times.length + seconds.length, 5);
    await assertExpiries(redis, prefix);
  });

  test("reject what the fields do not declare", async () => {
    const prefix = newPrefix();
    const store = new RedisSessionStore({ redis, prefix, fields: FIELDS, ...NO_HURRY });
    const id = await store.createSession({ page_views: 1 });
    // @ts-expect-error no such field
    await assert.rejects(store.updateSession(id, { user: "andrew" }), TypeError);
    // @ts-expect-error not the type of the field
    await assert.rejects(store.updateSession(id, { page_views: "3" }), TypeError);
    // @ts-expect-error no such field
    await assert.rejects(store.incrementField(id, "visits"), TypeError);
    // @ts-expect-error not a number
    await assert.rejects(store.incrementField(id, "username"), TypeError);
    const session = await store.getSession(id);
    // @ts-expect-error no such field
    assert.equal(session!.color, undefined);
    // @ts-expect-error a field may be missing
    const username: string = session!.username;
    assert.equal(username, undefined);
    // @ts-expect-error Date is no type of a field
    assert.throws(() => new RedisSessionStore({ redis, fields: { at: Date } }), TypeError);
    await assertExpiries(redis, prefix);
  });

  test("have names, for functions that take a store, its data or a session", async () => {
    const prefix = newPrefix();
    const store: RedisSessionStore<typeof FIELDS> = new RedisSessionStore({
      redis,
      prefix,
      fields: FIELDS,
      ...NO_HURRY,
    });
    const data: SessionData<typeof FIELDS> = { username: "andrew" };
    const session: Session<typeof FIELDS> | null = await store.getSession(await store.createSession(data));
    assert.equal(session?.username, "andrew");
  });

  test("are text without the option fields, and take any field", async () => {
    const prefix = newPrefix();
    const store: RedisSessionStore = new RedisSessionStore({ redis, prefix, ...NO_HURRY });
    const data: Record<string, string | number> = { username: "andrew", page_views: 1 };
    const id = await store.createSession(data);
    await store.incrementField(id, "page_views");
    const session = await store.getSession(id);
    const username: string | undefined = session!["username"];
    const texts: string[] = [session!.ttl, session!.session_ttl, session!.session_deadline, session!.created_at];
    assert.deepEqual([username, session!["page_views"], texts.length], ["andrew", "2", 4]);
    // @ts-expect-error a boolean would come back as text that is always truthy
    await assert.rejects(store.updateSession(id, { admin: false }), TypeError);
    await assertExpiries(redis, prefix);
  });

  test("require the option fields if there is a type argument, because values are text without it", () => {
    // @ts-expect-error fields is missing
    assert.ok(new RedisSessionStore<typeof FIELDS>({ redis }));
    assert.ok(new RedisSessionStore<typeof FIELDS>({ redis, fields: FIELDS }));
  });

  test("claim nothing of fields that are known only at run time", async () => {
    const fields: FieldTypes = { n: Number };
    const store = new RedisSessionStore({ redis, prefix: newPrefix(), fields, ...NO_HURRY });
    const session = await store.getSession(await store.createSession({ n: 1 }));
    const n: unknown = session!["n"];
    const ttl: number = session!.ttl;
    // @ts-expect-error its type is not known
    const text: string = session!["n"];
    assert.deepEqual([n, ttl, text], [1, 1800, 1]);
  });

  test("take an ID as a cookie parser returns it", async () => {
    const store = new RedisSessionStore({ redis, prefix: newPrefix() });
    const id = undefined as string | undefined;
    const results = [
      await store.getSession(id),
      await store.updateSession(id, { a: "b" }),
      await store.incrementField(id, "a"),
      await store.setSessionTtl(id, 5),
      await store.getTtl(id),
      await store.getConfiguredTtl(id),
      await store.rotateSession(id),
      await store.deleteSession(id),
    ];
    assert.deepEqual(results, [null, false, null, false, null, null, null, false]);
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
    const store = new RedisSessionStore({ redis: pool, prefix, ...NO_HURRY });
    const id = await store.createSession({ page_views: 0 });
    await Promise.all(Array.from({ length: 100 }, () => store.incrementField(id, "page_views")));
    assert.equal((await store.getSession(id))!["page_views"], "100");
    await assertExpiries(redis, prefix);
    await pool.close();
  });
});
