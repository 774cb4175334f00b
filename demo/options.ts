import yargs from "yargs";

export type Options = ReturnType<typeof parseOptions>;

/** Reads the command line, then the environment, then the defaults. A mistake prints the usage and exits with 1. */
export function parseOptions(args: string[], environment: NodeJS.ProcessEnv) {
  return yargs(args)
    .scriptName("npx tsx server.ts")
    .usage("$0 [options]\n\nSessions in Redis, live in your browser.")
    .options({
      port: {
        describe: "Port to listen on, 0 for a free one [PORT]",
        type: "number",
        default: Number(environment["PORT"] || 8080),
      },
      host: {
        describe: "Address to listen on [HOST]",
        type: "string",
        default: environment["HOST"] || "127.0.0.1",
      },
      "redis-host": {
        describe: "Host of Redis [REDIS_HOST]",
        type: "string",
        default: environment["REDIS_HOST"] || undefined,
        defaultDescription: "localhost",
      },
      "redis-port": {
        describe: "Port of Redis [REDIS_PORT]",
        type: "number",
        default: environment["REDIS_PORT"] ? Number(environment["REDIS_PORT"]) : undefined,
        defaultDescription: "6379",
      },
      "redis-url": {
        describe: "redis[s]://user:password@host:port/db, instead of the two above [REDIS_URL]",
        type: "string",
        default: environment["REDIS_URL"] || undefined,
        defaultDescription: "none",
      },
      "absolute-ttl": {
        describe: "Seconds after its start when a session ends, however active; the largest TTL [ABSOLUTE_TTL]",
        type: "number",
        default: Number(environment["ABSOLUTE_TTL"] || 2_592_000),
      },
      "secure-cookie": {
        describe: "Name the cookie __Host-sid and send it over HTTPS only [SECURE_COOKIE]",
        type: "boolean",
        default: isOn(environment["SECURE_COOKIE"]),
      },
      "hash-ids": {
        describe: "Keep only SHA-256 digests of session IDs in Redis [HASH_IDS]",
        type: "boolean",
        default: isOn(environment["HASH_IDS"]),
      },
    })
    .check((options) => {
      assertWhole("port", options.port, 0, 65_535);
      assertWhole("redis-port", options["redis-port"] ?? 6379, 1, 65_535);
      assertWhole("absolute-ttl", options["absolute-ttl"], 1, 3_153_600_000);
      if (options["redis-url"] !== undefined)
        assertAlone(options["redis-url"], options["redis-host"], options["redis-port"]);
      return true;
    })
    .epilogue("Without a Redis named and without one at localhost:6379, the demo starts a private one.")
    .requiresArg(["port", "host", "redis-host", "redis-port", "redis-url", "absolute-ttl"])
    .strict()
    .version(false)
    .locale("en")
    .parseSync();
}

const isOn = (text: string | undefined) => ["1", "true", "yes", "on"].includes(text?.toLowerCase() ?? "");

function assertWhole(name: string, value: number, smallest: number, largest: number): void {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return;
  throw new Error(`--${name} must be a whole number from ${smallest} to ${largest}.`);
}

function assertAlone(url: string, host: string | undefined, port: number | undefined): void {
  if (host !== undefined || port !== undefined) {
    throw new Error("--redis-url takes the place of --redis-host and --redis-port: name either it or them.");
  }
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new Error("--redis-url must look like redis://user:password@host:port/db.");
  }
}
