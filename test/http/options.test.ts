import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { type Options, parseOptions } from "../../demo/process/options.ts";
import type { RedisTarget } from "../../redis-connection/index.ts";
import { StartError } from "../../demo/process/start-error.ts";
import { spawnServer } from "../demo-process.ts";

type Environment = Record<string, string>;

const DEFAULTS: Options = {
  port: 8080,
  host: "127.0.0.1",
  redis: undefined,
  absoluteTtl: 2_592_000,
  secureCookie: false,
  hashIds: false,
};

/** As on a command line. Two single quotes are an empty word. */
const wordsOf = (line: string) =>
  line
    .split(" ")
    .filter(Boolean)
    .map((word) => word.replace("''", ""));

const titleOf = (line: string, environment: Environment = {}) =>
  [...Object.entries(environment).map((pair) => pair.join("=")), line].filter(Boolean).join(" ");

/** Without what was not given. */
function targetOf(line: string, environment: Environment = {}): Partial<RedisTarget> | undefined {
  const { redis } = parseOptions(wordsOf(line), environment);
  const given =
    redis && Object.entries(redis).filter(([, value]) => value !== undefined && value !== 0 && value !== false);
  return given && Object.fromEntries(given);
}

describe("the options", () => {
  test("have these defaults", () => {
    assert.deepEqual(parseOptions([], {}), DEFAULTS);
  });

  test("an empty environment variable counts as none", () => {
    const variables = ["PORT", "HOST", "REDIS_HOST", "REDIS_PORT", "REDIS_URL", "REDIS_CLUSTER", "REDIS_SENTINEL"];
    const others = ["ABSOLUTE_TTL", "SECURE_COOKIE", "HASH_IDS"];
    const environment = Object.fromEntries([...variables, ...others].map((name) => [name, ""]));
    assert.deepEqual(parseOptions([], environment), DEFAULTS);
  });

  const values: [line: string, environment: Environment, expected: Partial<Options>][] = [
    ["--port 0", { PORT: "1" }, { port: 0 }],
    ["--port=65535", {}, { port: 65_535 }],
    ["", { PORT: "81" }, { port: 81 }],
    ["--host 127.0.0.2", { HOST: "127.0.0.3" }, { host: "127.0.0.2" }],
    ["", { HOST: "0.0.0.0" }, { host: "0.0.0.0" }],
    ["--host ::1", {}, { host: "::1" }],
    ["--host fe80::1%eth0", {}, { host: "fe80::1%eth0" }],
    ["--absolute-ttl 20", { ABSOLUTE_TTL: "21" }, { absoluteTtl: 20 }],
    ["", { ABSOLUTE_TTL: "3153600000" }, { absoluteTtl: 3_153_600_000 }],
    ["--secure-cookie", {}, { secureCookie: true }],
    ["--secure-cookie --hash-ids", {}, { secureCookie: true, hashIds: true }],
    ["--secure-cookie=false --hash-ids no", { SECURE_COOKIE: "1", HASH_IDS: "1" }, {}],
  ];
  for (const [line, environment, expected] of values) {
    test(`${titleOf(line, environment)} means ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseOptions(wordsOf(line), environment), { ...DEFAULTS, ...expected });
    });
  }

  for (const on of ["1", "true", "TRUE", "True", "yes", "YES", "on"]) {
    test(`SECURE_COOKIE=${on} switches it on`, () => {
      assert.equal(parseOptions([], { SECURE_COOKIE: on }).secureCookie, true);
    });
  }

  for (const off of ["0", "false", "FALSE", "no", "off"]) {
    test(`SECURE_COOKIE=${off} switches it off`, () => {
      assert.equal(parseOptions([], { SECURE_COOKIE: off }).secureCookie, false);
    });
  }
});

describe("the Redis that is named", () => {
  const targets: [line: string, environment: Environment, expected: object][] = [
    ["--redis-host 10.0.0.5", {}, { host: "10.0.0.5" }],
    ["--redis-port 7001", {}, { port: 7001 }],
    ["--redis-host redis_1.internal --redis-port 1", {}, { host: "redis_1.internal", port: 1 }],
    ["--redis-host fe80::1%eth0", {}, { host: "fe80::1%eth0" }],
    ["", { REDIS_HOST: "redis", REDIS_PORT: "7001" }, { host: "redis", port: 7001 }],
    ["", { REDIS_URL: "redis://redis" }, { host: "redis" }],
    ["", { REDIS_URL: "rediss://[::1]:7001/" }, { host: "::1", port: 7001, tls: true }],
    [
      "--redis-url rediss://ada:s3%2Fcret@redis:7001/3",
      {},
      { host: "redis", port: 7001, tls: true, username: "ada", password: "s3/cret", database: 3 },
    ],
    ["--redis-cluster", {}, { cluster: true }],
    ["--redis-host redis", { REDIS_CLUSTER: "yes" }, { cluster: true, host: "redis" }],
    ["--redis-cluster=false --redis-port 1", { REDIS_CLUSTER: "1" }, { port: 1 }],
    ["--redis-sentinel my-master_1", {}, { sentinel: "my-master_1" }],
    [
      "--redis-url redis://:s3cret@redis/2",
      { REDIS_SENTINEL: "m" },
      { sentinel: "m", host: "redis", password: "s3cret", database: 2 },
    ],
  ];
  for (const [line, environment, expected] of targets) {
    test(`${titleOf(line, environment)} is ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(targetOf(line, environment), expected);
    });
  }

  for (const [line, environment] of [
    ["--redis-port 7001", { REDIS_HOST: "elsewhere", REDIS_URL: "redis://elsewhere" }],
    ["--redis-port 7001", { REDIS_PORT: "nonsense" }],
  ] as const) {
    test(`on the command line sets aside the one in the environment: ${titleOf(line, environment)}`, () => {
      assert.deepEqual(targetOf(line, environment), { port: 7001 });
    });
  }
});

describe("a mistake", () => {
  const UNKNOWN = /^The command line has an unknown option or word; see --help\.$/;
  const MASTER_NAME = /^--redis-sentinel .*must be the name of a master/;
  const WHOLE = /must be a whole number from/;
  const HOST = /must be a host name or an IP address/;
  const URL_LIKE = /must be like redis:\/\/user:password@host:port\/db/;
  const mistakes: [line: string, rule: RegExp, environment?: Environment][] = [
    ["--nonsense", UNKNOWN],
    ["--no-host", UNKNOWN],
    ["--no-secure-cookie", UNKNOWN],
    ["--redisHost s3cret", UNKNOWN],
    ["--constructor s3cret", UNKNOWN],
    ["-as3cret", UNKNOWN],
    ["--s3cret", UNKNOWN],
    ["redis://:s3cret@localhost", UNKNOWN],
    ["--port 0 s3cret", UNKNOWN],
    ["--host 127.0.0.1 --host 127.0.0.2", /^--host \(HOST\) must be given only once/],
    ["--redis-url redis://:s3cret@a --redis-url redis://:s3cret@b", /^--redis-url .*must be given only once/],
    ["--secure-cookie --secure-cookie", /^--secure-cookie .*must be given only once/],
    ["--host", /^Not enough arguments following: host/],
    ["--port --hash-ids", /^Not enough arguments following: port/],
    ["--port abc", WHOLE],
    ["--port 70000", /^--port \(PORT\) must be .* 65535, not "70000"/],
    ["--port -1", WHOLE],
    ["--port 1e3", WHOLE],
    ["--port 0x50", WHOLE],
    ["--port 80.5", WHOLE],
    ["--port=", WHOLE],
    ["", /^--port \(PORT\) must be a whole number from 0 to 65535, not "abc"/, { PORT: "abc" }],
    ["--host my/host", HOST],
    ["--host ''", HOST],
    ["", HOST, { HOST: "my host" }],
    ["--absolute-ttl 0", WHOLE],
    ["--absolute-ttl 3153600001", WHOLE],
    ["--secure-cookie=maybe", /^--secure-cookie .*must be true or false/],
    ["", /SECURE_COOKIE\) must be true or false, not "ture"/, { SECURE_COOKIE: "ture" }],
    ["", /HASH_IDS\) must be true or false/, { HASH_IDS: "2" }],
    ["--redis-port 0", WHOLE],
    ["--redis-port 70000", WHOLE],
    ["--redis-port s3cret", WHOLE],
    ["", /REDIS_PORT\) must be a whole number/, { REDIS_PORT: "abc" }],
    ["", WHOLE, { REDIS_PORT: "tcp://10.0.0.1:6379" }],
    ["--redis-host ''", HOST],
    ["--host [::1]", HOST],
    ["--redis-host [::1]", HOST],
    ["--redis-host localhost:6380", HOST],
    ["--redis-host localhost/3", HOST],
    ["--redis-host :s3cret@localhost", HOST],
    ["--redis-host /run/redis.sock", HOST],
    ["", HOST, { REDIS_HOST: "my host" }],
    ["", HOST, { REDIS_HOST: "redis://:s3cret@h:6379" }],
    ["--redis-url http://localhost", URL_LIKE],
    ["--redis-url s3cret", URL_LIKE],
    ["--redis-url unix:///run/redis.sock", URL_LIKE],
    ["--redis-url redis:///3", URL_LIKE],
    ["--redis-url redis://user%zz:s3cret@localhost", URL_LIKE],
    ["--redis-url redis://:s3cret%@localhost", URL_LIKE],
    ["--redis-url redis://:s3cret@localhost/three", URL_LIKE],
    ["--redis-url redis://:s3cret@localhost/1/2", URL_LIKE],
    ["--redis-url redis://:s3cret@localhost:0", URL_LIKE],
    ["--redis-url redis://user:1/s3cret@localhost", URL_LIKE],
    ["--redis-url redis://user:1?s3cret@localhost", URL_LIKE],
    ["--redis-url redis://user#s3cret@localhost", URL_LIKE],
    ["--redis-url redis://:s3cret@my%20host", URL_LIKE],
    ["", /REDIS_URL\) must be like/, { REDIS_URL: "redis://:s3cret%@localhost" }],
    ["--redis-url redis://:s3cret@a --redis-host b", /redis-url and redis-host are mutually exclusive/],
    ["", /redis-url and redis-port are mutually exclusive/, { REDIS_URL: "redis://:s3cret@a", REDIS_PORT: "1" }],
    ["--redis-cluster --redis-url redis://:s3cret@a/1", /--redis-url must be without a database/],
    ["--redis-cluster --redis-sentinel m", /redis-cluster and redis-sentinel are mutually exclusive/],
    ["", /redis-cluster and redis-sentinel are mutually exclusive/, { REDIS_CLUSTER: "1", REDIS_SENTINEL: "m" }],
    ["--redis-sentinel", /^Not enough arguments following: redis-sentinel/],
    ["--redis-sentinel ''", MASTER_NAME],
    ["--redis-sentinel redis://:s3cret@a", MASTER_NAME],
  ];
  for (const [line, rule, environment = {}] of mistakes) {
    test(`is refused in one line without a secret: ${titleOf(line, environment)}`, () => {
      assert.throws(
        () => parseOptions(wordsOf(line), environment),
        (error) => {
          assert.ok(error instanceof StartError, String(error));
          assert.match(error.message, rule);
          assert.doesNotMatch(error.message, /s3cret|\n/);
          return true;
        },
      );
    });
  }
});

describe("--help", async () => {
  const { stdout } = await spawnServer({ after }, ["--help"]).end();
  const options: [option: string, variable: string, says: RegExp][] = [
    ["--port", "PORT", /port.*8080/i],
    ["--host", "HOST", /127\.0\.0\.1/],
    ["--redis-host", "REDIS_HOST", /localhost/],
    ["--redis-port", "REDIS_PORT", /6379/],
    ["--redis-url", "REDIS_URL", /redis\[s\]:\/\/user:password@host:port\/db/],
    ["--redis-cluster", "REDIS_CLUSTER", /any node of a Redis Cluster.*default: off/i],
    ["--redis-sentinel", "REDIS_SENTINEL", /any Sentinel of the master.*default: none/i],
    ["--absolute-ttl", "ABSOLUTE_TTL", /seconds.*2592000/i],
    ["--secure-cookie", "SECURE_COOKIE", /https.*default: off/i],
    ["--hash-ids", "HASH_IDS", /sha-256.*default: off/i],
  ];
  for (const [option, variable, says] of options) {
    test(`names ${option} and ${variable}, with unit and default`, () => {
      const parts = stdout.replaceAll(/\s+/g, " ").split(/ (?=--)/);
      const [about = "", ...more] = parts.filter((part) => part.startsWith(`${option} `));
      assert.deepEqual(more, []);
      assert.match(about, new RegExp(`\\[${variable}\\]`));
      assert.match(about, says);
    });
  }
});
