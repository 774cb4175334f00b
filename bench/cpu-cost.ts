/** What each operation costs this process: its CPU time, beside the raw command with the same arguments. */
import { RedisSessionStore, type RedisScripting } from "../session-store.ts";
import { type Measure, measureInTurn, median, medianRatio, repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Client } from "./servers/redis-client.ts";
import { DATA, FIELDS, TTL } from "./session-data.ts";
import type { Row } from "./tables.ts";

type Operation = (store: RedisSessionStore<typeof FIELDS>, id: string) => Promise<unknown>;

const OPERATIONS: Record<string, Operation> = {
  getSession: (store, id) => store.getSession(id),
  incrementField: (store, id) => store.incrementField(id, "page_views"),
  "updateSession of one field": (store, id) => store.updateSession(id, { username: "someone" }),
};
const IN_FLIGHT = 32;
const SESSIONS = 100;

export async function measureCpuCost(client: Client, { rounds, callsPerRound }: Plan["cpuCost"]): Promise<Row[]> {
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  const ids = await repeat(SESSIONS, () => store.createSession(DATA));
  const measures: Record<string, Measure> = {};
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const [sha1, args] = await commandOf(client, (recording) => operation(recording, ids[0] ?? ""));
    const keys = ids.map((id) => [store.keyOf(id)]);
    measures[name] = () => cpuTimeOf(callsPerRound, (index) => operation(store, ids[index % SESSIONS] ?? ""));
    measures[`raw ${name}`] = () =>
      cpuTimeOf(callsPerRound, (index) =>
        client.evalSha(sha1, { keys: keys[index % SESSIONS] ?? [], arguments: args }),
      );
  }
  const costs = await measureInTurn(rounds, measures);
  return Object.keys(OPERATIONS).map((operation) => ({
    operation,
    µs: median(costs(operation)),
    "raw EVALSHA, µs": median(costs(`raw ${operation}`)),
    times: medianRatio(costs(operation), costs(`raw ${operation}`)),
  }));
}

/** The script and the arguments that an operation sends. */
async function commandOf(
  client: Client,
  run: (store: RedisSessionStore<typeof FIELDS>) => Promise<unknown>,
): Promise<[sha1: string, args: string[]]> {
  let command: [string, string[]] | undefined;
  const recording: RedisScripting = {
    evalSha: (sha1, options) => {
      command = [sha1, options.arguments];
      return client.evalSha(sha1, options);
    },
    eval: (script, options) => client.eval(script, options),
  };
  await run(new RedisSessionStore({ redis: recording, ttl: TTL, fields: FIELDS }));
  if (command === undefined) throw new Error("the operation sent no EVALSHA");
  return command;
}

/** Microseconds of CPU time for each call, with 32 under way at any time. */
async function cpuTimeOf(calls: number, run: (index: number) => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  let next = 0;
  const runInTurn = async () => {
    while (next < calls) await run(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, runInTurn));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}
