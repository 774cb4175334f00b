import { isIP } from "node:net";
import yargs from "yargs";
import { parseRedisUrl, type RedisTarget } from "../../redis-connection/index.ts";
import { parseWholeNumber } from "../whole-number.ts";
import { StartError } from "./start-error.ts";

export interface Options {
  port: number;
  host: string;
  /** Undefined if no Redis was named. */
  redis: RedisTarget | undefined;
  absoluteTtl: number;
  secureCookie: boolean;
  hashIds: boolean;
}

/** What the text of an option must be. `read` returns its value, or undefined if the text is something else. */
interface OptionType {
  rule: string;
  read: (text: string) => unknown;
}

const wholeNumber = (smallest: number, largest: number): OptionType => ({
  rule: `a whole number from ${smallest} to ${largest}`,
  read(text) {
    const value = parseWholeNumber(text);
    return value >= smallest && value <= largest ? value : undefined;
  },
});
const SWITCH: OptionType = {
  rule: "true or false",
  read(text) {
    if (/^(true|yes|on|1)$/i.test(text)) return true;
    return /^(false|no|off|0)$/i.test(text) ? false : undefined;
  },
};
const HOST: OptionType = {
  rule: "a host name or an IP address, without a port",
  read: (text) => (isHost(text) ? text : undefined),
};
const REDIS_URL: OptionType = {
  rule: "like redis://user:password@host:port/db, or rediss:// for TLS",
  read(text) {
    try {
      const target = parseRedisUrl(text);
      return isHost(target.host) && target.port !== 0 ? target : undefined;
    } catch {
      return undefined;
    }
  },
};
const MASTER_NAME: OptionType = {
  rule: "the name of a master: letters, digits and ._-", // Sentinel allows no other characters
  read: (text) => (/^[\w.-]+$/.test(text) ? text : undefined),
};

const isHost = (text: string) => isIP(text) > 0 || /^[a-z\d]([\w.-]{0,252}\w)?\.?$/i.test(text);

const LARGEST_TTL = 3_153_600_000; // seconds: 100 years, as in the store

const OPTIONS: Record<string, [OptionType, describe: string, defaultDescription: string]> = {
  port: [wholeNumber(0, 65_535), "Port to listen on, 0 for a free one", "8080"],
  host: [HOST, "Address to listen on", "127.0.0.1"],
  "redis-host": [HOST, "Host of Redis", "localhost"],
  "redis-port": [wholeNumber(1, 65_535), "Port of Redis", "6379"],
  "redis-url": [REDIS_URL, "redis[s]://user:password@host:port/db, instead of the two above", "none"],
  "redis-cluster": [SWITCH, "Host and port, or the URL, are those of any node of a Redis Cluster", "off"],
  "redis-sentinel": [
    MASTER_NAME,
    "Host and port, or the URL, are those of any Sentinel of the master with this name",
    "none",
  ],
  "absolute-ttl": [
    wholeNumber(1, LARGEST_TTL),
    "Absolute timeout in seconds: a session ends then even if it is in use. No TTL is longer",
    "2592000",
  ],
  "secure-cookie": [SWITCH, "Name the cookie __Host-sid and send it over HTTPS only", "off"],
  "hash-ids": [SWITCH, "Keep only SHA-256 digests of session IDs in Redis", "off"],
};

/** `REDIS_HOST`, which is read if `--redis-host` is not given. */
const variableOf = (name: string) => name.toUpperCase().replaceAll("-", "_");

/** They are read together, either from the command line or from the environment. */
const ADDRESS_OPTIONS = new Set(["redis-host", "redis-port", "redis-url"]);

/** As yargs returns them; undefined if not given. A switch that is off counts as not given. */
interface GivenOptions {
  port?: number;
  host?: string;
  "redis-host"?: string;
  "redis-port"?: number;
  "redis-url"?: RedisTarget;
  "redis-cluster"?: true;
  "redis-sentinel"?: string;
  "absolute-ttl"?: number;
  "secure-cookie"?: true;
  "hash-ids"?: true;
}

/**
 * An option on the command line takes precedence over its environment variable. `--help` prints the options and ends the
 * process. Throws a `StartError` that names the mistake. The error contains neither the value of a Redis option nor a word
 * that belongs to no option: it may be a password.
 */
export function parseOptions(args: string[], environment: NodeJS.ProcessEnv): Options {
  const isAddressGiven = args.some((arg) => ADDRESS_OPTIONS.has(/^--([^=]+)/.exec(arg)?.[1] ?? ""));
  const fromEnvironment = Object.keys(OPTIONS)
    .filter((name) => !(isAddressGiven && ADDRESS_OPTIONS.has(name)))
    .map((name) => [name, environment[variableOf(name)] || undefined]);
  const given = createParser().config(Object.fromEntries(fromEnvironment)).parseSync(args) as GivenOptions;
  return {
    port: given.port ?? 8080,
    host: given.host ?? "127.0.0.1",
    redis: toRedisTarget(given),
    absoluteTtl: given["absolute-ttl"] ?? 2_592_000,
    secureCookie: given["secure-cookie"] ?? false,
    hashIds: given["hash-ids"] ?? false,
  };
}

function createParser() {
  const options = Object.entries(OPTIONS).map(([name, [type, describe, defaultDescription]]) => {
    const coerce = (given: string | true | string[] | undefined) =>
      readValue(`--${name} (${variableOf(name)})`, type, given);
    const requiresArg = type !== SWITCH;
    return [name, { describe: `${describe} [${variableOf(name)}]`, defaultDescription, requiresArg, coerce }];
  });
  return yargs()
    .scriptName("npx tsx server.ts")
    .usage("$0 [options]\n\nSessions in Redis, live in your browser.")
    .options(Object.fromEntries(options))
    .conflicts("redis-url", ["redis-host", "redis-port"])
    .conflicts("redis-cluster", "redis-sentinel")
    .strict()
    .help()
    .version(false)
    .locale("en")
    .epilogue("If no Redis is named and there is none at localhost:6379, the demo starts a private one.")
    .parserConfiguration({
      "boolean-negation": false, // --no-x would negate --x
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "short-option-groups": false, // -xy would be two options
    })
    .fail((message) => {
      const isUnknown = message.startsWith("Unknown argument"); // the rest of the message may be a password
      throw new StartError(`${isUnknown ? "The command line has an unknown option or word" : message}; see --help.`);
    });
}

/** `given` is `true` for a switch without a value. */
function readValue(name: string, { rule, read }: OptionType, given: string | true | string[] | undefined): unknown {
  if (given === undefined) return undefined;
  if (Array.isArray(given)) throw new StartError(`${name} must be given only once`);
  const value = read(String(given));
  if (value !== undefined) return value === false ? undefined : value;
  throw new StartError(`${name} must be ${rule}${name.startsWith("--redis") ? "" : `, not ${JSON.stringify(given)}`}`);
}

function toRedisTarget(given: GivenOptions): RedisTarget | undefined {
  const { "redis-host": host, "redis-port": port, "redis-url": url } = given;
  const { "redis-cluster": cluster, "redis-sentinel": sentinel } = given;
  if ([host, port, url, cluster, sentinel].every((value) => value === undefined)) return undefined;
  if (cluster && url?.database) throw new StartError("--redis-url must be without a database: a cluster has only one.");
  return { ...(url ?? { host, port }), cluster, sentinel };
}
