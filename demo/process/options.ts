import { isIP } from "node:net";
import yargs from "yargs";
import { parseRedisUrl, type RedisTarget } from "../../redis-connection/index.ts";
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

/** Each option, and the environment variable that is read if the option is not given. */
const OPTIONS = {
  port: { variable: "PORT", describe: "Port to listen on, 0 for a free one", defaultDescription: "8080" },
  host: { variable: "HOST", describe: "Address to listen on", defaultDescription: "127.0.0.1" },
  "redis-host": { variable: "REDIS_HOST", describe: "Host of Redis", defaultDescription: "localhost" },
  "redis-port": { variable: "REDIS_PORT", describe: "Port of Redis", defaultDescription: "6379" },
  "redis-url": {
    variable: "REDIS_URL",
    describe: "redis[s]://user:password@host:port/db, instead of the two above",
    defaultDescription: "none",
  },
  "redis-cluster": {
    variable: "REDIS_CLUSTER",
    describe: "Host and port, or the URL, are those of any node of a Redis Cluster",
    defaultDescription: "off",
  },
  "redis-sentinel": {
    variable: "REDIS_SENTINEL",
    describe: "Host and port, or the URL, are those of any Sentinel of the master with this name",
    defaultDescription: "none",
  },
  "absolute-ttl": {
    variable: "ABSOLUTE_TTL",
    describe: "Absolute timeout in seconds: a session ends then even if it is in use. No TTL is longer",
    defaultDescription: "2592000",
  },
  "secure-cookie": {
    variable: "SECURE_COOKIE",
    describe: "Name the cookie __Host-sid and send it over HTTPS only",
    defaultDescription: "off",
  },
  "hash-ids": {
    variable: "HASH_IDS",
    describe: "Keep only SHA-256 digests of session IDs in Redis",
    defaultDescription: "off",
  },
};
type Name = keyof typeof OPTIONS;

const LARGEST_PORT = 65_535;
const LARGEST_TTL = 3_153_600_000; // seconds: 100 years, as in the store

interface Setting {
  /** `--port` or `PORT`. */
  source: string;
  text: string;
}
type Settings = (name: Name) => Setting | undefined;

/**
 * An option on the command line takes precedence over its environment variable. Throws a `StartError` that names the
 * mistake. The error never contains the value of a Redis option: it may be a password, even where none belongs.
 */
export function parseOptions(args: string[], environment: NodeJS.ProcessEnv): Options {
  const flags = readFlags(args);
  const fromFlags: Settings = (name) => settingOf(`--${name}`, flags.get(name));
  const fromEnvironment: Settings = (name) => {
    const { variable } = OPTIONS[name];
    return settingOf(variable, environment[variable] || undefined);
  };
  const settings: Settings = (name) => fromFlags(name) ?? fromEnvironment(name);
  const addressSettings = ADDRESS_OPTIONS.some((name) => flags.has(name)) ? fromFlags : fromEnvironment;
  const redisSettings: Settings = (name) => (ADDRESS_OPTIONS.includes(name) ? addressSettings(name) : settings(name));
  return {
    port: toWholeNumber(settings("port"), 0, LARGEST_PORT) ?? 8080,
    host: toHost(settings("host")) ?? "127.0.0.1",
    redis: toRedisTarget(redisSettings),
    absoluteTtl: toWholeNumber(settings("absolute-ttl"), 1, LARGEST_TTL) ?? 2_592_000,
    secureCookie: toSwitch(settings("secure-cookie")) ?? false,
    hashIds: toSwitch(settings("hash-ids")) ?? false,
  };
}

/** They are read together, either from the command line or from the environment. */
const ADDRESS_OPTIONS: Name[] = ["redis-host", "redis-port", "redis-url"];

const settingOf = (source: string, text: string | undefined) => (text === undefined ? undefined : { source, text });

/** What `--help` prints. */
export function usage(): Promise<string> {
  const options = Object.entries(OPTIONS).map(([name, { variable, describe, defaultDescription }]) => {
    return [name, { describe: `${describe} [${variable}]`, defaultDescription }] as const;
  });
  return yargs()
    .scriptName("npx tsx server.ts")
    .usage("$0 [options]\n\nSessions in Redis, live in your browser.")
    .options(Object.fromEntries(options))
    .help()
    .version(false)
    .locale("en")
    .epilogue("If no Redis is named and there is none at localhost:6379, the demo starts a private one.")
    .getHelp();
}

/** Every value as it was written; `on` for a switch without a value. */
function readFlags(args: string[]): Map<Name, string> {
  const { _: words, $0: _, ...flags } = parseWords(args);
  if (Array.isArray(words) && words.length > 0) {
    throw new StartError("The command line has a word that belongs to no option; see --help.");
  }
  return new Map(Object.entries(flags).map(([name, value]) => [toName(name), toText(name, value)]));
}

/** Switches off what yargs would guess: that a text is a number, that `--no-x` negates `--x`, that `-xy` is two options. */
function parseWords(args: string[]): Record<string, unknown> {
  const parser = yargs().help(false).version(false).parserConfiguration({
    "boolean-negation": false,
    "camel-case-expansion": false,
    "dot-notation": false,
    "parse-numbers": false,
    "parse-positional-numbers": false,
    "short-option-groups": false,
  });
  try {
    return parser.parseSync(args);
  } catch {
    throw new StartError("The command line cannot be understood; see --help."); // yargs fails on --constructor
  }
}

function toName(name: string): Name {
  if (Object.hasOwn(OPTIONS, name)) return name as Name;
  const isWord = /^[a-z]+(-[a-z]+)*$/.test(name); // what is not a word may be a password
  throw new StartError(`There is no option ${isWord ? `--${name}` : "of that name"}; see --help.`);
}

function toText(name: string, value: unknown): string {
  if (Array.isArray(value)) throw new StartError(`--${name} must be given only once.`);
  if (typeof value === "string") return value;
  if (SWITCHES.has(name)) return "on";
  throw new StartError(`--${name} needs a value.`);
}

const SWITCHES = new Set(["redis-cluster", "secure-cookie", "hash-ids"]);

function invalid({ source, text }: Setting, rule: string): StartError {
  const isAboutRedis = /^(--redis-|REDIS_)/.test(source);
  return new StartError(`${source} must be ${rule}${isAboutRedis ? "" : `; got ${JSON.stringify(text)}`}.`);
}

function toWholeNumber(setting: Setting | undefined, smallest: number, largest: number): number | undefined {
  if (setting === undefined) return undefined;
  const value = Number(setting.text);
  if (/^\d+$/.test(setting.text) && value >= smallest && value <= largest) return value;
  throw invalid(setting, `a whole number from ${smallest} to ${largest}`);
}

function toSwitch(setting: Setting | undefined): boolean | undefined {
  if (setting === undefined) return undefined;
  const text = setting.text.toLowerCase();
  if (["1", "true", "yes", "on"].includes(text)) return true;
  if (["0", "false", "no", "off"].includes(text)) return false;
  throw invalid(setting, "true or false");
}

/** A host name or an IP address, without a port. */
function toHost(setting: Setting | undefined): string | undefined {
  if (setting === undefined) return undefined;
  const host = setting.text.replace(/^\[(.*)\]$/, "$1");
  if (isHost(host)) return host;
  throw invalid(setting, "a host name or an IP address");
}

const isHost = (text: string) => isIP(text) > 0 || /^[a-z\d]([\w.-]{0,252}\w)?\.?$/i.test(text);

function toRedisTarget(settings: Settings): RedisTarget | undefined {
  const [cluster, sentinel, url] = [settings("redis-cluster"), settings("redis-sentinel"), settings("redis-url")];
  const isCluster = toSwitch(cluster) ?? false;
  const masterName = toMasterName(sentinel);
  const host = toHost(settings("redis-host"));
  const port = toWholeNumber(settings("redis-port"), 1, LARGEST_PORT);
  if (cluster && isCluster && sentinel) {
    throw new StartError(`${cluster.source} and ${sentinel.source} exclude each other: a cluster needs no Sentinel.`);
  }
  if (url && (host ?? port) !== undefined) {
    throw new StartError(`${url.source} takes the place of host and port: name either it or them.`);
  }
  if (!isCluster && (sentinel ?? url ?? host ?? port) === undefined) return undefined;
  const parts = url ? parseUrl(url) : { host, port };
  if (url && isCluster && parts.database) throw invalid(url, "without a database: a cluster has only one");
  return { ...parts, cluster: isCluster, sentinel: masterName };
}

/** Sentinel allows only these characters in the name of a master. */
function toMasterName(setting: Setting | undefined): string | undefined {
  if (setting === undefined || /^[\w.-]+$/.test(setting.text)) return setting?.text;
  throw invalid(setting, "the name of a master: letters, digits and ._-");
}

function parseUrl(setting: Setting): RedisTarget {
  try {
    const parts = parseRedisUrl(setting.text);
    if (isHost(parts.host) && parts.port !== 0) return parts;
  } catch {} // not a URL of Redis
  throw invalid(setting, "like redis://user:password@host:port/db, or rediss:// for TLS");
}
