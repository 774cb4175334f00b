/** Requests a second that a server on one core serves. */
import { requestsPerSecond } from "./load.ts";
import { type Measure, measureInTurn, median, medianRatio, repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import { OTHER_CORE, pin, type Server, startServer } from "./processes.ts";
import type { Row } from "./tables.ts";

const LOG_IN = "POST /login";
const ROUTES = ["GET /session", "POST /increment", LOG_IN];

/** The same application four times. */
export async function measureFrameworks(redisUrl: string, plan: Plan["requests"]): Promise<Row[]> {
  const speeds = await measureServers(redisUrl, plan, {
    "Express, this store": "bench/servers/express-store.ts",
    "Express, connect-redis": "bench/servers/express-connect-redis.ts",
    "Fastify, this store": "bench/servers/fastify-store.ts",
    "Fastify, connect-redis": "bench/servers/fastify-connect-redis.ts",
  });
  return ["Express", "Fastify"].flatMap((framework) =>
    ROUTES.map((route) => {
      const ours = speeds(`${framework}, this store`, route);
      const theirs = speeds(`${framework}, connect-redis`, route);
      return {
        framework,
        route,
        "this store": median(ours),
        "connect-redis": median(theirs),
        times: medianRatio(ours, theirs),
      };
    }),
  );
}

/** The demo server and what it could be at most. */
export async function measureDemo(redisUrl: string, plan: Plan["requests"]): Promise<Row[]> {
  const files = {
    "demo server": "server.ts",
    "plain hash": "bench/servers/plain-hash.ts",
    "bare node:http": "bench/servers/bare.ts",
  };
  const speeds = await measureServers(redisUrl, plan, files);
  return ROUTES.map((route) => ({
    route,
    ...Object.fromEntries(Object.keys(files).map((name) => [name, median(speeds(name, route))])),
  }));
}

/** Starts all servers and loads one after the other. Returns the requests a second by server and route, round by round. */
async function measureServers(
  redisUrl: string,
  plan: Plan["requests"],
  files: Record<string, string>,
): Promise<(name: string, route: string) => number[]> {
  pin(process.pid, OTHER_CORE);
  const servers: (Server & { name: string; cookies: string[] })[] = [];
  for (const [name, file] of Object.entries(files)) {
    const server = await startServer(file, redisUrl);
    const cookies = await repeat(plan.sessions, (user) => logIn(server.port, user));
    servers.push({ ...server, name, cookies });
  }
  const measures: Record<string, Measure> = {};
  for (const route of ROUTES) {
    for (const { name, port, cookies } of servers) {
      const users = route === LOG_IN ? cookies.length * LOG_INS : cookies.length;
      const requests = Array.from({ length: users }, (_, user) => rawRequest(route, cookies[user] ?? "", user));
      measures[`${name} ${route}`] = () => requestsPerSecond(port, requests, plan.secondsPerRound);
    }
  }
  const speeds = await measureInTurn(plan.rounds, measures);
  await Promise.all(servers.map((server) => server.stop()));
  return (name, route) => speeds(`${name} ${route}`);
}

/** Many more users log in, because the demo has to peek at each session of a user who has a hundred. */
const LOG_INS = 20;

/** Each session has a user of its own, because the demo keeps a list of each user's sessions. */
const formOf = (user: number) => `username=user-${user}&ttl=1800`;

/** Returns the cookie, as `name=value`. */
async function logIn(port: number, user: number): Promise<string> {
  const body = new URLSearchParams(formOf(user));
  const response = await fetch(`http://127.0.0.1:${port}/login`, { method: "POST", body });
  await response.arrayBuffer();
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
  if (!response.ok || cookie === undefined) throw new Error(`log-in at port ${port} failed: ${response.status}`);
  return cookie;
}

/** A log-in is sent without a cookie, because it would end the session. */
function rawRequest(route: string, cookie: string, user: number): Buffer {
  const body = route === LOG_IN ? formOf(user) : "";
  const head = [
    `${route} HTTP/1.1`,
    "Host: localhost",
    "Accept: application/json",
    route === LOG_IN ? "Content-Type: application/x-www-form-urlencoded" : `Cookie: ${cookie}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}
