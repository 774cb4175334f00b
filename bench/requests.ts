/** Requests a second, server beside server. */
import { generateLoad } from "./load.ts";
import { cpuTime, MEASURED_CORE, OTHER_CORE, pin } from "./machine.ts";
import { type BenchRedis, type Server, startServer } from "./processes.ts";
import { repeat } from "./repeat.ts";
import { median, medianRatio } from "./statistics.ts";
import type { Row } from "./table.ts";

export interface RequestsPlan {
  rounds: number;
  secondsPerRound: number;
  connections: number;
  sessions: number;
}

interface Contender {
  server: Server;
  /** Of its sessions, as `name=value`. */
  cookies: string[];
  /** By route. */
  rounds: Record<string, Round[]>;
}

interface Round {
  requestsPerSecond: number;
  /** CPU time a request. */
  serverMicroseconds: number;
  redisMicroseconds: number;
}

const READ = "GET /session";
const LOG_IN = "POST /login";
const PAGE = "GET /";
const JSON_ROUTES = [READ, "POST /increment", LOG_IN];
const LOG_INS_AT_ONCE = 50;
/** Each session has a user of its own, as the demo's page lists all sessions of a user. */
const formOf = (user: number) => `username=user-${user}&ttl=1800`;

const FRAMEWORKS = ["Express", "Fastify"];
const STORE = "this store";
const CONNECT_REDIS = "connect-redis";
const DEMO = "demo server";
const PLAIN_HASH = "plain hash";
const BARE = "bare node:http";

/** The files to run, with their arguments. */
const SERVERS: Record<string, string[]> = {
  [`Express, ${STORE}`]: ["bench/servers/express-store.ts"],
  [`Express, ${CONNECT_REDIS}`]: ["bench/servers/express-connect-redis.ts"],
  [`Fastify, ${STORE}`]: ["bench/servers/fastify-store.ts"],
  [`Fastify, ${CONNECT_REDIS}`]: ["bench/servers/fastify-connect-redis.ts"],
  [DEMO]: ["server.ts", "--port", "0"],
  [PLAIN_HASH]: ["bench/servers/plain-hash.ts"],
  [BARE]: ["bench/servers/bare.ts"],
};
const SERVERS_OF_PAGE = new Set([DEMO, BARE]);

/** All servers run throughout, and a round visits each in turn: a noisy minute disturbs all alike. */
export async function measureRequests(redis: BenchRedis, plan: RequestsPlan) {
  pin(process.pid, OTHER_CORE);
  const contenders: Record<string, Contender> = {};
  try {
    for (const [name, args] of Object.entries(SERVERS)) {
      const server = await startServer(args, redis);
      contenders[name] = { server, cookies: [], rounds: {} };
      pin(server.pid, MEASURED_CORE);
      contenders[name].cookies = await repeat(plan.sessions, LOG_INS_AT_ONCE, (user) => logIn(server, user));
    }
    for (let round = 0; round <= plan.rounds; round += 1) {
      for (const route of [...JSON_ROUTES, PAGE]) {
        for (const [name, contender] of Object.entries(contenders)) {
          if (route === PAGE && !SERVERS_OF_PAGE.has(name)) continue;
          const measured = await measureRound(contender, route, redis, plan);
          if (round > 0) (contender.rounds[route] ??= []).push(measured); // the first round warms up
        }
      }
    }
  } finally {
    await Promise.all(Object.values(contenders).map(({ server }) => server.stop()));
  }
  const roundsOf = (name: string, route: string) => contenders[name]?.rounds[route] ?? [];
  return {
    frameworks: FRAMEWORKS.flatMap((framework) =>
      JSON_ROUTES.map((route): Row => {
        const ours = roundsOf(`${framework}, ${STORE}`, route);
        const theirs = roundsOf(`${framework}, ${CONNECT_REDIS}`, route);
        return {
          framework,
          route,
          [STORE]: median(speeds(ours)),
          [CONNECT_REDIS]: median(speeds(theirs)),
          times: medianRatio(speeds(ours), speeds(theirs)),
          [`CPU µs, ${STORE}`]: median(serverCosts(ours)),
          [`CPU µs, ${CONNECT_REDIS}`]: median(serverCosts(theirs)),
        };
      }),
    ),
    demo: [...JSON_ROUTES, PAGE].map((route): Row => {
      const rounds = [DEMO, PLAIN_HASH, BARE].map((name) => [name, roundsOf(name, route)] as const);
      return Object.fromEntries([
        ["route", route],
        ...rounds.map(([name, measured]) => [name, median(speeds(measured))]),
        ...rounds.map(([name, measured]) => [`CPU µs, ${name}`, median(serverCosts(measured))]),
      ]);
    }),
    readCost: {
      serverMicroseconds: median(serverCosts(roundsOf(`Express, ${STORE}`, READ))),
      redisMicroseconds: median(roundsOf(`Express, ${STORE}`, READ).map((round) => round.redisMicroseconds)),
    },
  };
}

const speeds = (rounds: Round[]) => rounds.map((round) => round.requestsPerSecond);
const serverCosts = (rounds: Round[]) => rounds.map((round) => round.serverMicroseconds);

async function logIn({ port }: Server, user: number): Promise<string> {
  const body = new URLSearchParams(formOf(user));
  const response = await fetch(`http://127.0.0.1:${port}/login`, { method: "POST", body });
  await response.arrayBuffer();
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
  if (!response.ok || cookie === undefined) throw new Error(`log-in at port ${port} failed: ${response.status}`);
  return cookie;
}

async function measureRound(
  { server, cookies }: Contender,
  route: string,
  redis: BenchRedis,
  { connections, secondsPerRound }: RequestsPlan,
): Promise<Round> {
  const requests = cookies.map((cookie, user) => rawRequest(route, cookie, cookies.length + user));
  const serverBefore = cpuTime(server.pid);
  const redisBefore = cpuTime(redis.pid);
  const load = await generateLoad(server.port, requests, connections, secondsPerRound);
  return {
    requestsPerSecond: load.requestsPerSecond,
    serverMicroseconds: (cpuTime(server.pid) - serverBefore) / load.requests,
    redisMicroseconds: (cpuTime(redis.pid) - redisBefore) / load.requests,
  };
}

/** A log-in is sent without a cookie, as it would end the session. */
function rawRequest(route: string, cookie: string, newUser: number): Buffer {
  const body = route === LOG_IN ? formOf(newUser) : "";
  const head = [
    `${route} HTTP/1.1`,
    "Host: localhost",
    `Accept: ${route === PAGE ? "text/html" : "application/json"}`,
    route === LOG_IN ? "Content-Type: application/x-www-form-urlencoded" : `Cookie: ${cookie}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}
