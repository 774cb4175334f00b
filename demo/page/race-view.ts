import { DEFAULT_ROUNDS, MAX_ROUNDS, type RaceResult, type RoundHistory, WORK_MS } from "../race-lab/race-lab.ts";
import { formField, type FormField, type Mistake } from "./form-field.ts";

/** The values of `views/race.ejs`. */
export interface RaceView {
  workMs: number;
  rounds: FormField;
  maxRounds: number;
  /** The rounds that were run; undefined before a race. */
  roundsRun: number | undefined;
  ways: RaceWay[];
}

/** A call of the request or of the log-out, its reply, and what Redis held after it. */
interface RaceRow {
  isLogout: boolean;
  call: string;
  reply: string;
  held: string;
}

interface RaceWay {
  id: "plain" | "store";
  title: string;
  about: string;
  /** Undefined before a race. */
  revived: number | undefined;
  /** Why the session came back, or why not. */
  reason: string;
  /** Whether the race had this outcome. If not, the reason is hidden until the page's script shows it. */
  isReasonShown: boolean;
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
  return {
    workMs: WORK_MS,
    rounds: formField("rounds", typedRounds ?? race?.rounds ?? DEFAULT_ROUNDS, mistake),
    maxRounds: MAX_ROUNDS,
    roundsRun: race?.rounds,
    ways: [
      {
        id: "plain",
        title: "Plain commands",
        about: "HGETALL, then HSET and PEXPIRE",
        revived: race?.plain.revived,
        reason:
          "With plain commands, the check and the write are two steps. The log-out came between them, and HSET created the key again, with the two fields that it writes. A request that writes the whole session, as with many stores, would log the user in again.",
        isReasonShown: (race?.plain.revived ?? 0) > 0,
        caption: history === undefined ? "" : "Plain commands, in the first round in which the session came back",
        rows: history === undefined ? [] : rowsOf(history.plain),
      },
      {
        id: "store",
        title: "This store",
        about: "getSession, then incrementField",
        revived: race?.store.revived,
        reason:
          "In this store, a script checks and writes in one step, so no log-out can come between. It found no session, and wrote nothing.",
        isReasonShown: race?.store.revived === 0,
        caption: history === undefined ? "" : "This store, in the same round",
        rows: history === undefined ? [] : rowsOf(history.store),
      },
    ],
  };
}

const rowsOf = ({ steps }: RoundHistory): RaceRow[] =>
  steps.flatMap(({ step, calls }) => calls.map((call) => ({ ...call, isLogout: step === "logout" })));
