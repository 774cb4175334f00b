import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { generate } from "selfsigned";
import { Browser } from "../browser.ts";
import type { Lifetime } from "../child-process.ts";
import { spawnServer } from "../demo-process.ts";
import { connectPatiently } from "../redis-connection.ts";
import { askRedis, DURABLE, spawnRedis } from "../redis-process.ts";
import { REDIS_PROGRAM } from "../redis-program.ts";
import { reservedPort } from "../reserved-port.ts";
import { until } from "../wait.ts";
import { spawnSentinel } from "../redis-sentinel.ts";

const PASSWORD = "s3cret/+@:%";
const DAY_MS = 86_400_000;

type AltName = { type: 2; value: string } | { type: 7; ip: string };
type Certificate = Record<string, string>;

const HERE: AltName[] = [
  { type: 2, value: "localhost" },
  { type: 7, ip: "127.0.0.1" },
];
const ELSEWHERE: AltName[] = [{ type: 2, value: "redis.example.com" }];

const attempt = spawnSync(REDIS_PROGRAM, ["--port", "0", "--tls-port", "0"], { encoding: "utf8" });
const skip = attempt.stdout.includes("not listen anywhere") ? false : `${REDIS_PROGRAM} was built without TLS`;

const folder = await mkdtemp(join(tmpdir(), "test-certificates-"));
after(() => rm(folder, { recursive: true }));

async function keep(name: string, pem: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, pem);
  return path;
}

async function newAuthority(name: string, file = name) {
  const { cert, private: key } = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, critical: true },
    ],
  });
  return { cert, key, file: await keep(`CA-${file}.pem`, cert) };
}

const [ours, theirs, namesake] = await Promise.all([
  newAuthority("ours"),
  newAuthority("theirs"),
  newAuthority("ours", "namesake"),
]);

/** The options of a server with a certificate for these addresses, valid on one day around the given one. */
async function newCertificate(name: string, altNames: readonly AltName[], daysFromNow = 0): Promise<Certificate> {
  const day = Date.now() + daysFromNow * DAY_MS;
  const { cert, private: key } = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    algorithm: "sha256",
    notBeforeDate: new Date(day - DAY_MS),
    notAfterDate: new Date(day + DAY_MS),
    ca: ours,
    extensions: [{ name: "subjectAltName", altNames: [...altNames] }],
  });
  return {
    "tls-cert-file": await keep(`${name}.pem`, cert),
    "tls-key-file": await keep(`${name}.key`, key),
    "tls-ca-cert-file": ours.file,
    "tls-auth-clients": "no",
  };
}

const [valid, misplaced, expired, early] = await Promise.all([
  newCertificate("here", HERE),
  newCertificate("elsewhere", ELSEWHERE),
  newCertificate("expired", HERE, -9),
  newCertificate("early", HERE, 9),
]);

const { "tls-ca-cert-file": _, ...withoutChain } = valid;

/** Replies without TLS too, on `port`, where the test sees what was written. */
async function spawnTlsRedis(t: Lifetime, certificate = valid, more: string[] = []) {
  const tlsPort = await reservedPort();
  const options = Object.entries({ ...certificate, "tls-port": String(tlsPort) });
  const redis = await spawnRedis(t, [...options.flatMap(([name, value]) => [`--${name}`, value]), ...more]);
  return { ...redis, tlsPort };
}

const serverOf = (t: Lifetime, url: string, certificates: string | undefined, more: string[] = []) =>
  spawnServer(t, ["--port", "0", ...more], {
    REDIS_URL: url,
    ...(certificates !== undefined && { NODE_EXTRA_CA_CERTS: certificates }),
  });

async function assertServes(browser: Browser) {
  for (const [path, form] of [
    ["/login", { username: "ada", ttl: "600" }],
    ["/increment", {}],
    ["/ttl", { ttl: "500" }],
    ["/rotate", {}],
  ] as const) {
    assert.equal((await browser.post(path, form)).status, 200, path);
  }
  const { json } = await browser.get("/session");
  assert.deepEqual([json.session?.["username"], json.page_views ?? json.session?.["page_views"]], ["ada", "2"]);
  assert.equal((await browser.get("/healthz")).status, 200);
  assert.equal((await browser.get("/", { accept: "text/html" })).status, 200);
}

describe("rediss://", { skip, concurrency: 3, timeout: 900_000 }, () => {
  for (const host of ["localhost", "127.0.0.1"]) {
    test(`rediss://${host} keeps sessions in Redis over TLS if NODE_EXTRA_CA_CERTS names the CA`, async (t) => {
      const { send, tlsPort } = await spawnTlsRedis(t);
      const { browser, stdout } = await serverOf(t, `rediss://${host}:${tlsPort}`, ours.file).listening();
      assert.match(stdout, new RegExp(`^Redis: ${host}:${tlsPort}$`, "m"));
      await assertServes(browser);
      assert.equal(await send("HGET", `session:${browser.sessionId}`, "username"), "ada");
    });
  }

  test("a rediss:// URL names user, password and database, and the password is never printed", async (t) => {
    const user = ["--user", "demo", "on", `>${PASSWORD}`, "~*", "&*", "+@all"];
    const { port, send, tlsPort } = await spawnTlsRedis(t, valid, user);
    const url = `rediss://demo:${encodeURIComponent(PASSWORD)}@localhost:${tlsPort}/3`;
    const server = serverOf(t, url, ours.file);
    const { browser } = await server.listening();
    await assertServes(browser);
    assert.match(String(await send("INFO", "keyspace")), /^db3:keys=[1-9]/m);
    assert.match(String(await send("CLIENT", "LIST")), new RegExp(`:${tlsPort} .* db=3 .* user=demo `));
    assert.equal(await askRedis(port, "EXISTS", `session:${browser.sessionId}`), 0);
    const { stdout, stderr } = await server.stop("SIGTERM");
    assert.doesNotMatch(stdout + stderr, /s3cret/);
  });

  test("over TLS, requests get 503 while Redis is unavailable, and the sessions when it is back", async (t) => {
    const { tlsPort, kill, start, hang, resume } = await spawnTlsRedis(t, valid, DURABLE);
    const server = serverOf(t, `rediss://localhost:${tlsPort}`, ours.file);
    const { browser } = await server.listening();
    await assertServes(browser);
    const ways = [
      [hang, resume],
      [kill, start],
    ] as const;
    for (const [index, [goAway, comeBack]] of ways.entries()) {
      await goAway();
      const { status, setCookies } = await browser.get("/session");
      assert.deepEqual([status, setCookies], [503, []]);
      await comeBack();
      assert.ok(await until(async () => (await browser.get("/session")).status === 200), "Redis cannot be used again");
      assert.equal((await browser.get("/session")).json.session?.["username"], "ada");
      await until(() => server.stderr().split("back").length - 1 > index);
    }
    assert.match(server.stderr(), /^(Redis is unavailable: .+\nRedis is back\n){2}$/);
  });

  test("a certificate that has expired when the connection is lost is logged, once", async (t) => {
    const { tlsPort, send } = await spawnTlsRedis(t);
    const log: string[] = [];
    const target = { host: "127.0.0.1", port: tlsPort, tls: { ca: ours.cert } };
    const redis = await connectPatiently(target, { log: (line) => log.push(line) });
    t.after(() => redis.close());
    const use = (certificate: Certificate) =>
      send("CONFIG", "SET", ...Object.entries(certificate).flatMap(([name, value]) => [name, value]));
    await use(expired);
    await send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const reason = "Redis is unavailable: certificate has expired";
    assert.ok(await until(() => log.includes(reason)), log.join("\n"));
    await use(valid);
    assert.ok(await until(() => log.includes("Redis is back")), log.join("\n"));
    assert.equal(log.filter((line) => line === reason).length, 1);
  });

  test("rediss:// means TLS to the Sentinels and to the master that they name", async (t) => {
    const { send, tlsPort } = await spawnTlsRedis(t);
    const sentinelPort = await reservedPort();
    const options = { ...valid, "tls-port": String(sentinelPort), "tls-replication": "yes" };
    await spawnSentinel(t, tlsPort, { more: Object.entries(options).map((pair) => pair.join(" ")) });
    const server = serverOf(t, `rediss://localhost:${sentinelPort}`, ours.file, ["--redis-sentinel", "mymaster"]);
    const { browser } = await server.listening();
    await assertServes(browser);
    assert.equal(await send("HGET", `session:${browser.sessionId}`, "username"), "ada");
  });
});

describe("a Redis that is not trusted or not understood", { skip, concurrency: 3, timeout: 900_000 }, () => {
  const ADVICE = /NODE_EXTRA_CA_CERTS/;
  const refusals: [what: string, certificate: Certificate, authority: string | undefined, advice: RegExp][] = [
    ["no CA is named", valid, undefined, ADVICE],
    ["no CA is named, and none is sent", withoutChain, undefined, ADVICE],
    ["another CA is named", valid, theirs.file, ADVICE],
    ["another CA of the same name is named", valid, namesake.file, /signature/],
    ["its certificate is for another host", misplaced, ours.file, /localhost.*redis\.example\.com/],
    ["its certificate has expired", expired, ours.file, /expired/],
    ["its certificate is not valid yet", early, ours.file, /not yet valid/],
  ];
  for (const [what, certificate, file, advice] of refusals) {
    test(`the start ends with one line that names host and port: ${what}`, async (t) => {
      const { tlsPort } = await spawnTlsRedis(t, certificate);
      const ended = await serverOf(t, `rediss://:${encodeURIComponent(PASSWORD)}@localhost:${tlsPort}`, file).end();
      assert.deepEqual([ended.code, ended.stdout], [1, ""]);
      assert.match(ended.stderr, new RegExp(`^Redis at localhost:${tlsPort} is not trusted .+\\n$`));
      assert.match(ended.stderr, advice);
      assert.doesNotMatch(ended.stderr, /s3cret/);
    });
  }

  for (const [what, scheme, isTls, advice] of [
    ["it expects TLS, and the URL says redis", "redis", true, "If the server there uses TLS, write rediss://.+"],
    [
      "it expects none, and the URL says rediss",
      "rediss",
      false,
      "If the server there does not use TLS, write redis://.+",
    ],
  ] as const) {
    test(`the start ends with one line that names host and port: ${what}`, async (t) => {
      const { port, tlsPort } = await spawnTlsRedis(t);
      const asked = isTls ? tlsPort : port;
      const ended = await serverOf(t, `${scheme}://localhost:${asked}`, ours.file).end();
      assert.deepEqual([ended.code, ended.stdout], [1, ""], ended.stderr);
      assert.match(ended.stderr, new RegExp(`^No Redis at localhost:${asked} \\(.+\\)\\..+\\. ${advice}\\.\\n$`));
    });
  }
});
