/** What is tried: one dimension varies at a time. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Row {
  name: string;
  /** The file in adapters/ without its ending, or the example of a framework. */
  adapter: string;
  /** The package that the adapter imports, and the pinned one that stands for it here. */
  packages?: [name: string, alias: string];
  /** A command line that runs JavaScript. */
  runtime?: string[];
  isCluster?: boolean;
  /** What differs from the defaults of the client. */
  needs: string;
}

const installed = (path: string) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));
const ofExample = (path: string) => fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
const ofProject = (path: string) => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));

function versionIn(folder: string): string {
  return JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).version;
}

const CONNECTION = "redis-connection";
const NOTHING = "nothing";
const NODE_REDIS = "no offline queue";
const IOREDIS = "adapter; no offline queue, no resending, `socketTimeout`";

function aClient(name: string, alias: string, adapter: string, needs: string): Row {
  const title = `${name} ${versionIn(installed(alias))}`;
  const imported = adapter.includes("ioredis") ? "ioredis" : "redis";
  return { name: title, adapter, packages: [imported, alias], needs };
}

function aCluster(name: string, alias: string): Row {
  const needs = `${IOREDIS}, \`retryDelayOnFailover: 0\``;
  return { ...aClient(`\`Cluster\` of ${name}`, alias, "ioredis-cluster", needs), isCluster: true };
}

export const redisConnection = `node-redis ${versionIn(ofProject("redis"))} through \`redis-connection/\``;

export const clients: Row[] = [
  { name: redisConnection, adapter: CONNECTION, needs: NOTHING },
  aClient("node-redis", "redis-6", "node-redis", NODE_REDIS),
  aClient("node-redis", "redis-5", "node-redis", NODE_REDIS),
  aClient("node-redis", "redis-4", "node-redis-4", NODE_REDIS),
  aClient("@valkey/client", "@valkey/client", "valkey-client", NODE_REDIS),
  aClient("ioredis", "ioredis-6", "ioredis", IOREDIS),
  aClient("ioredis", "ioredis-5", "ioredis", IOREDIS),
  aClient("iovalkey", "iovalkey", "ioredis", IOREDIS),
  aCluster("ioredis", "ioredis-6"),
  aCluster("ioredis", "ioredis-5"),
  aCluster("iovalkey", "iovalkey"),
  {
    name: `valkey-glide ${versionIn(installed("@valkey/valkey-glide"))}`,
    adapter: "valkey-glide",
    needs: "adapter; `requestTimeout`",
  },
  {
    name: `Bun's own, ${versionIn(installed("bun"))}`,
    adapter: "bun",
    runtime: [installed(".bin/bun")],
    needs: "adapter; no offline queue",
  },
];

/** The same without options, to show why something has to be set. */
export const defaults: Row[] = [
  aClient("node-redis", "redis-6", "node-redis-defaults", NOTHING),
  aClient("ioredis", "ioredis-6", "ioredis-defaults", "adapter"),
  aClient("iovalkey", "iovalkey", "ioredis-defaults", "adapter"),
];

export const runtimes: Row[] = [
  ...[20, 22, 24, 26].map((major) => ({
    name: `Node ${versionIn(installed(`node-${major}`))}`,
    adapter: CONNECTION,
    runtime: [installed(`node-${major}/bin/node`)],
    needs: NOTHING,
  })),
  {
    name: `Bun ${versionIn(installed("bun"))}`,
    adapter: CONNECTION,
    runtime: [installed(".bin/bun")],
    needs: NOTHING,
  },
  {
    name: `Deno ${versionIn(installed("deno"))}`,
    adapter: CONNECTION,
    runtime: [installed(".bin/deno"), "run", "--quiet", "--node-modules-dir=manual", "--allow-all"],
    needs: "permissions",
  },
];

export const frameworks: Row[] = [
  ...["express", "fastify", "hono"].map((name) => ({
    name: `${name} ${versionIn(ofProject(name))}`,
    adapter: name,
    needs: NOTHING,
  })),
  { name: `next ${versionIn(ofExample("next/node_modules/next"))}`, adapter: "next", needs: NOTHING },
];

export const aServer = (name: string): Row => ({ name, adapter: CONNECTION, needs: NOTHING });
