import { tracingChannel } from "node:diagnostics_channel";
import { performance } from "node:perf_hooks";

/** A Redis command as it went over the wire, for people. */
export interface WireEntry {
  /** `EVALSHA increment session:V1StGXR8… page_views 1`: the operation in the place of a script's digest. */
  command: string;
  /** How long the answer took, in milliseconds. */
  ms: number;
  /** Commands that were on their way together share a round trip; the first is 1. */
  trip: number;
}

interface Sent {
  args: readonly unknown[];
  key: unknown;
  start: number;
  end: number;
}

const channel = tracingChannel<unknown, object>("node-redis:command");

/** Recordings under way, the oldest first, and the commands since that one began, each once for all of them. */
const recordings = new Set<{ start: number }>();
const sent = new Map<object, Sent>();

const subscriber = {
  start(message: object) {
    const args: unknown[] = "args" in message && Array.isArray(message.args) ? message.args : [];
    sent.set(message, { args, key: args[isScript(args) ? 3 : 1], start: performance.now(), end: Number.NaN });
  },
  asyncEnd(message: object) {
    const command = sent.get(message);
    if (command) command.end = performance.now();
  },
  end() {},
  asyncStart() {},
  error() {},
};

/**
 * Listens to the commands that node-redis sends, on its diagnostics channel, from now until `stop`.
 * Nobody listens while nobody looks at the page, so then it costs nothing.
 */
export function recordWire() {
  const recording = { start: performance.now() };
  if (recordings.size === 0) channel.subscribe(subscriber);
  recordings.add(recording);

  return {
    /** The commands on these keys, and on no one else's. */
    entries(keys: string[]): WireEntry[] {
      const ours: WireEntry[] = [];
      let trip = 0;
      let answered = Number.NEGATIVE_INFINITY;
      for (const { args, key, start, end } of sent.values()) {
        if (start < recording.start || !keys.some((ourKey) => ourKey === key)) continue;
        if (start >= answered) trip += 1;
        answered = Math.max(answered, end);
        ours.push({ command: readable(args.map(String)), ms: Math.round((end - start) * 100) / 100, trip });
      }
      return ours;
    },
    stop() {
      recordings.delete(recording);
      if (recordings.size === 0) channel.unsubscribe(subscriber);
      const [oldest] = recordings;
      for (const [message, { start: at }] of sent) {
        if (oldest !== undefined && at >= oldest.start) break;
        sent.delete(message);
      }
    },
  };
}

const isScript = ([command]: readonly unknown[]) => command === "EVALSHA" || command === "EVAL";

/**
 * A script's digest and the number of its keys say nothing to people, and the absolute limit is always the same. The
 * values that a session begins with stay out: they are personal.
 */
function readable([command = "", ...args]: readonly string[]): string {
  if (!isScript([command])) return [command, ...args.map(shortened)].join(" ");
  const [, , key = "", operation = "", , ...rest] = args;
  const told = operation === "create" ? rest.filter((_, index) => index === 0 || index % 2 === 1) : rest;
  return [command, operation, ...[key, ...told].map(shortened)].join(" ");
}

const shortened = (word: string) => (word.length > LONGEST_WORD ? `${word.slice(0, LONGEST_WORD)}…` : word);
const LONGEST_WORD = 20; // characters: a key's prefix and enough of its ID to know it again
