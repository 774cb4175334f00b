import { type RaceResult, type RoundHistory, WORK_MS } from "../race-lab/race-lab.ts";
import { formField, type FormField, type Mistake } from "./form-field.ts";

const DEFAULT_ROUNDS = 100;

/** The values of `views/race.ejs`. */
export interface RaceView {
  workMs: number;
  rounds: FormField;
  /** The rounds that were run; undefined before a race. */
  roundsRun: number | undefined;
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
  note: string;
  caption: string;
  rows: RaceRow[];
}

/** `typedRounds`: what was typed into a form that was refused. */
export function createRaceView(
  race: RaceResult | undefined,
  typedRounds: string | undefined,
  mistake: Mistake | undefined,
): RaceView {
  const history = race?.history ?? undefined;
  const cameBack = (race?.plain.revived ?? 0) > 0;
  return {
    workMs: WORK_MS,
    rounds: formField("rounds", typedRounds ?? race?.rounds ?? DEFAULT_ROUNDS, mistake),
    roundsRun: race?.rounds,
    ways: [
      {
        id: "plain",
        title: "Plain commands",
        about: "HGETALL to read; HSET and PEXPIRE to write",
        revived: race?.plain.revived,
        note: cameBack
          ? "Only the fields of the late write came back. If it had written the whole session, the user would be logged in again."
          : "",
        caption: history === undefined ? "" : "The first round in which the session came back",
        rows: history === undefined ? [] : rowsOf(history.plain),
      },
      {
        id: "store",
        title: "This store",
        about: "getSession to read; incrementField to write",
        revived: race?.store.revived,
        note: "",
        caption: history === undefined ? "" : "The same round with this store",
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
