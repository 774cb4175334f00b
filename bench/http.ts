import { MEASURED, OTHERS, pin } from "./cores.ts";
import { startServer, type Server, cpuTime, residentMemory } from "./process.ts";
import { load, type Load } from "./load.ts";
import { median, medianRatio } from "./statistics.ts";
import type { BenchRedis } from "./redis.ts";

export interface HttpPlan {
  rounds: number;
  secondsPerRound: number;
  /** For each server and endpoint, before the first round. */
  warmUpSeconds: number;
  connections: number;
  sessions: number;
}

interface Round extends Load {
  serverUsPerRequest: number;
  redisUsPerRequest: number;
}

export interface HttpResult {
  contender: string;
  endpoint: string;
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  serverUsPerRequest: number;
  redisUsPerRequest: number;
  generatorUsPerRequest: number;
  /** How many times as many requests a second this project's server answers: the median of the rounds' ratios. */
  oursIsTimesAsFast: number;
  /** How many times as much CPU time a request costs its server as it costs ours: what other work on the machine hardly touches. */
  cpuTimesOurs: number;
}

export interface MemoryResult {
  contender: string;
  idleMiB: number;
  underLoadMiB: number;
}

export const OURS = "this project";
export const EXPRESS = "express + connect-redis";
export const PLAIN_HASH = "node:http + hGetAll";

const CONTENDERS: { name: string; args: string[] }[] = [
  { name: OURS, args: ["server.ts", "--port", "0"] },
  { name: EXPRESS, args: ["bench/contenders/express.ts"] },
  { name: "fastify + connect-redis", args: ["bench/contenders/fastify.ts"] },
  { name: PLAIN_HASH, args: ["bench/contenders/plain-hash.ts"] },
  { name: "bare node:http", args: ["bench/contenders/bare.ts"] },
];

const FORM = "username=andrew&ttl=1800";
const FORM_HEADERS = `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${FORM.length}\r\n`;

export const ENDPOINTS: { name: string; request: (cookie: string) => string }[] = [
  {
    name: "GET /session",
    request: (cookie) => `GET /session HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}\r\n\r\n`,
  },
  {
    name: "POST /increment",
    request: (cookie) =>
      `POST /increment HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}\r\nContent-Length: 0\r\n\r\n`,
  },
  { name: "POST /login", request: () => `POST /login HTTP/1.1\r\nHost: localhost\r\n${FORM_HEADERS}\r\n${FORM}` },
  {
    name: "GET / (page)",
    request: (cookie) => `GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nCookie: ${cookie}\r\n\r\n`,
  },
];

/** All servers run throughout; rounds go over all of them in turn, so that a noisy minute harms none in particular. */
export async function measureHttp(redis: BenchRedis, plan: HttpPlan, say: (line: string) => void) {
  pin(process.pid, OTHERS);
  const contenders = await Promise.all(CONTENDERS.map((contender) => start(contender, redis, plan)));
  try {
    for (const { name, server, requests } of contenders) {
      say(`warming up ${name}`);
      for (const list of requests) await load(server.port, list, plan.connections, plan.warmUpSeconds);
    }
    const rounds = contenders.map(() => ENDPOINTS.map((): Round[] => []));
    for (let round = 1; round <= plan.rounds; round += 1) {
      say(`HTTP, round ${round} of ${plan.rounds}`);
      for (const [endpoint] of ENDPOINTS.entries()) {
        for (const [index, { server, requests }] of contenders.entries()) {
          rounds[index]?.[endpoint]?.push(await measureRound(server, redis, requests[endpoint] ?? [], plan));
        }
      }
    }
    const results = contenders.flatMap(({ name }, index) =>
      ENDPOINTS.map((endpoint, number) =>
        summarize(name, endpoint.name, rounds[index]?.[number] ?? [], rounds[0]?.[number] ?? []),
      ),
    );
    const memory = contenders.map(({ name, server, idleMiB }): MemoryResult => {
      return { contender: name, idleMiB, underLoadMiB: residentMemory(server.pid) };
    });
    return { results, memory };
  } finally {
    await Promise.all(contenders.map(({ server }) => server.stop()));
  }
}

async function start({ name, args }: { name: string; args: string[] }, redis: BenchRedis, plan: HttpPlan) {
  const server = await startServer(process.execPath, ["--import", "tsx", ...args], { REDIS_URL: redis.url });
  pin(server.pid, MEASURED);
  const idleMiB = residentMemory(server.pid);
  const cookies = await Promise.all(Array.from({ length: plan.sessions }, () => logIn(server)));
  const requests = ENDPOINTS.map(({ request }) => cookies.map((cookie) => Buffer.from(request(cookie))));
  return { name, server, idleMiB, requests };
}

async function logIn({ port }: Server): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/login`, { method: "POST", body: new URLSearchParams(FORM) });
  await response.arrayBuffer();
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
  if (!response.ok || cookie === undefined) throw new Error(`log-in at port ${port} failed: ${response.status}`);
  return cookie;
}

async function measureRound(server: Server, redis: BenchRedis, requests: Buffer[], plan: HttpPlan): Promise<Round> {
  const serverBefore = cpuTime(server.pid);
  const redisBefore = cpuTime(redis.pid);
  const result = await load(server.port, requests, plan.connections, plan.secondsPerRound);
  return {
    ...result,
    serverUsPerRequest: (cpuTime(server.pid) - serverBefore) / result.requests,
    redisUsPerRequest: (cpuTime(redis.pid) - redisBefore) / result.requests,
  };
}

function summarize(contender: string, endpoint: string, rounds: Round[], ours: Round[]): HttpResult {
  const all = (key: keyof Round) => rounds.map((round) => round[key]);
  return {
    contender,
    endpoint,
    requestsPerSecond: median(all("requestsPerSecond")),
    p50Ms: median(all("p50Ms")),
    p99Ms: median(all("p99Ms")),
    serverUsPerRequest: median(all("serverUsPerRequest")),
    redisUsPerRequest: median(all("redisUsPerRequest")),
    generatorUsPerRequest: median(all("generatorUsPerRequest")),
    oursIsTimesAsFast: medianRatio(
      ours.map(({ requestsPerSecond }) => requestsPerSecond),
      all("requestsPerSecond"),
    ),
    cpuTimesOurs: medianRatio(
      all("serverUsPerRequest"),
      ours.map(({ serverUsPerRequest }) => serverUsPerRequest),
    ),
  };
}
