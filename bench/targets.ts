import { EXPRESS, type HttpResult, PLAIN_HASH } from "./http.ts";
import { type BytesResult, type GrowthResult, isRaw } from "./growth.ts";
import type { StartResult } from "./start.ts";
import { GET_SESSION, type StoreResult } from "./store.ts";

export interface Target {
  what: string;
  target: string;
  measured: number;
  isReached: boolean;
}

export interface Numbers {
  http: HttpResult[];
  store: StoreResult[];
  growth: GrowthResult[];
  bytes: BytesResult[];
  start: StartResult;
}

const IN_FLIGHT = 64;

/** What we want of the project. They are reported, never asserted: another machine has other numbers. */
export function targetsOf({ http, store, growth, bytes, start }: Numbers): Target[] {
  const times = (endpoint: string, contender: string) =>
    http.find((result) => result.endpoint === endpoint && result.contender === contender)?.oursIsTimesAsFast;
  const read = store.find(({ operation, inFlight }) => operation === GET_SESSION && inFlight === IN_FLIGHT);
  const largest = Math.max(...growth.map(({ sessions }) => sessions));
  const atLargest = growth.filter((result) => result.sessions === largest && !isRaw(result));
  const worstGrowth = Math.min(...atLargest.map(({ ratioToSmallest }) => ratioToSmallest));
  const atSize = bytes.find(({ sessions }) => sessions === largest);
  return [
    atLeast(6, `GET /session, times ${EXPRESS}`, times("GET /session", EXPRESS)),
    atLeast(1.1, `GET /session, times ${PLAIN_HASH}`, times("GET /session", PLAIN_HASH)),
    atLeast(5, `POST /increment, times ${EXPRESS}`, times("POST /increment", EXPRESS)),
    atLeast(3, `the page, times ${EXPRESS} + ejs`, times("GET / (page)", EXPRESS)),
    atLeast(1, `getSession, times hGetAll of the same client, ${IN_FLIGHT} in flight`, read?.ratio),
    atLeast(1, `getSession, times hGetAll of a default client, ${IN_FLIGHT} in flight`, read?.ratioToDefault),
    atLeast(0.95, `the operation that ${largest.toLocaleString("en")} sessions slow down most`, worstGrowth),
    atMost(1, "bytes a session, times connect-redis", atSize?.bytesRatio),
    atMost(0.5, "start to first answer, seconds more than bare node:http", start.extraSeconds),
  ];
}

const atLeast = (least: number, what: string, measured = Number.NaN): Target => ({
  what,
  target: `≥ ${least}`,
  measured,
  isReached: measured >= least,
});

const atMost = (most: number, what: string, measured = Number.NaN): Target => ({
  what,
  target: `≤ ${most}`,
  measured,
  isReached: measured <= most,
});
