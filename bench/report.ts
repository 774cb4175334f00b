import { isPinned } from "./cores.ts";
import type { MemoryResult } from "./http.ts";
import { rounded } from "./statistics.ts";
import { type Numbers, targetsOf } from "./targets.ts";

type Row = Record<string, string | number | boolean>;

/** The tables, for people. */
export function printReport(numbers: Numbers & { memory: MemoryResult[] }): void {
  const { http, memory, store, growth, bytes, start } = numbers;
  print(
    isPinned ? "HTTP, medians, one core for the server" : "HTTP, medians, all processes on all cores",
    http.map((result) => ({
      endpoint: result.endpoint,
      server: result.contender,
      "requests/s": result.requestsPerSecond,
      "p50 ms": result.p50Ms,
      "p99 ms": result.p99Ms,
      "server CPU µs": result.serverUsPerRequest,
      "Redis CPU µs": result.redisUsPerRequest,
      "load CPU µs": result.generatorUsPerRequest,
      "CPU, times ours": result.cpuTimesOurs,
      "ours is … times as fast": result.oursIsTimesAsFast,
    })),
  );
  print(
    "Resident memory, MiB",
    memory.map(({ contender, idleMiB, underLoadMiB }) => ({
      server: contender,
      idle: idleMiB,
      "under load": underLoadMiB,
    })),
  );
  print(
    "The store beside the command it cannot do without, operations a second",
    store.map((result) => ({
      operation: result.operation,
      "in flight": String(result.inFlight),
      store: result.store.operationsPerSecond,
      command: result.command,
      "same client": result.raw.operationsPerSecond,
      "default client": result.rawByDefault.operationsPerSecond,
      ratio: result.ratio,
      "ratio to default": result.ratioToDefault,
      "client CPU µs": result.store.clientUsPerOperation,
      "Redis CPU µs": result.store.redisUsPerOperation,
    })),
  );
  print(
    "Growth, 64 in flight",
    growth.map(({ sessions, operation, pace, ratioToSmallest }) => ({
      sessions: sessions.toLocaleString("en"),
      operation,
      "operations/s": pace.operationsPerSecond,
      "p99 ms": pace.p99Ms,
      "ratio to the smallest": ratioToSmallest,
    })),
  );
  print(
    "Bytes a session in Redis, and reads a second",
    bytes.map((result) => ({
      sessions: result.sessions.toLocaleString("en"),
      fields: result.fields,
      "bytes a value": result.valueBytes,
      ours: result.ourBytes,
      "connect-redis": result.connectRedisBytes,
      "bytes ratio": result.bytesRatio,
      "reads/s ratio": result.readsRatio,
    })),
  );
  print("From the command to the first answer, seconds", [
    { ours: start.ourSeconds, "bare node:http": start.bareSeconds, more: start.extraSeconds },
  ]);
  print(
    "Targets",
    targetsOf(numbers).map(({ what, target, measured, isReached }) => ({
      what,
      target,
      measured,
      reached: isReached ? "yes" : "no",
    })),
  );
}

function print(title: string, rows: Row[]): void {
  console.log(`\n${title}\n`);
  const cells = rows.map((row) => Object.values(row).map(shown));
  const names = Object.keys(rows[0] ?? {});
  const widths = names.map((name, column) => Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const isNumber = names.map((name) => typeof rows[0]?.[name] === "number");
  const line = (texts: string[]) =>
    texts
      .map((text, column) => (isNumber[column] ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  console.log(line(names));
  console.log(widths.map((width) => "─".repeat(width)).join("  "));
  for (const row of cells) console.log(line(row));
}

function shown(value: string | number | boolean): string {
  if (typeof value !== "number") return String(value);
  return Number.isFinite(value) ? rounded(value).toLocaleString("en", { maximumSignificantDigits: 3 }) : "–";
}
