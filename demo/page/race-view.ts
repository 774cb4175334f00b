import { type RaceResult, type RoundHistory, WORK_MS } from "../race-lab/race-lab.ts";

/** The values of `views/race.ejs`. */
export interface RaceView {
  workMs: number;
  /** Undefined before a race. */
  rounds: number | undefined;
  ways: RaceWay[];
}

/** A call of the request or of the log-out, its reply, and what Redis held before the first call and after the last. */
interface RaceRow {
  lane: "request" | "logout";
  call: string;
  reply: string;
  redis: string;
}

interface RaceWay {
  id: "plain" | "store";
  title: string;
  about: string;
  /** Undefined before a race. */
  revived: number | undefined;
  rows: RaceRow[];
}

export function createRaceView(race: RaceResult | undefined): RaceView {
  const history = race?.history ?? undefined;
  return {
    workMs: WORK_MS,
    rounds: race?.rounds,
    ways: [
      {
        id: "plain",
        title: "Plain commands",
        about: "HGETALL to read; HSET and PEXPIRE to write",
        revived: race?.plain.revived,
        rows: history === undefined ? [] : rowsOf(history.plain),
      },
      {
        id: "store",
        title: "This store",
        about: "getSession to read; incrementField to write",
        revived: race?.store.revived,
        rows: history === undefined ? [] : rowsOf(history.store),
      },
    ],
  };
}

function rowsOf({ steps, fields }: RoundHistory): RaceRow[] {
  const rows = steps.flatMap(({ step, calls }) =>
    calls.map(({ call, reply }): RaceRow => {
      return { lane: step === "logout" ? "logout" : "request", call, reply, redis: "" };
    }),
  );
  const left = Object.keys(fields);
  const last = rows.at(-1);
  if (last !== undefined) last.redis = left.length === 0 ? "no key" : `${left.length} fields`;
  return rows;
}
