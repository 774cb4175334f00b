import {
  DEFAULT_ROUNDS,
  MAX_ROUNDS,
  RACE_WAYS,
  type RaceResult,
  type RaceWay,
  type RoundHistory,
  WORK_MS,
} from "../race-lab/race-lab.ts";
import { formField, type FormField, type Mistake } from "./form-field.ts";

/** The values of `views/race.ejs`. */
export interface RaceView {
  workMs: number;
  rounds: FormField;
  maxRounds: number;
  /** The rounds that were run; undefined before a race. */
  roundsRun: number | undefined;
  hasHistory: boolean;
  ways: WayView[];
}

/** A call of the request or of the log-out, its reply, and what Redis held after it. */
interface RaceRow {
  isLogout: boolean;
  call: string;
  reply: string;
  held: string;
}

interface WayView {
  id: RaceWay;
  title: string;
  about: string;
  /** Undefined before a race. */
  revived: number | undefined;
  /** What came back, in words, after the count. */
  outcome: string;
  /** Why the session came back, or why not. */
  reason: string;
  /** Whether the race had this outcome. If not, the reason is hidden until the page's script shows it. */
  isReasonShown: boolean;
  rows: RaceRow[];
}

const WORDS: Record<RaceWay, { title: string; about: string; outcome: string; reason: string }> = {
  plain: {
    title: "Plain commands",
    about: "HGETALL, then HSET and PEXPIRE, as in Redis’ own guide",
    outcome: "came back, without a user",
    reason:
      "Check and write are two steps. The log-out came between them, and HSET made the key again, with two of its five fields: nobody is logged in.",
  },
  whole: {
    title: "The whole session as one value",
    about: "GET, then SET, as most session stores do",
    outcome: "came back, complete",
    reason: "The request wrote back all that it had read. The user is logged in again.",
  },
  store: {
    title: "This store",
    about: "getSession, then incrementField: one script each",
    outcome: "came back",
    reason:
      "Check and write are one step, because Redis runs a script as a whole. There was no session, so nothing was written.",
  },
};

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
    hasHistory: history !== undefined,
    ways: RACE_WAYS.map((id) =>
      Object.assign({ id }, WORDS[id], {
        revived: race?.[id].revived,
        isReasonShown: race !== undefined && race[id].revived > 0 === (id !== "store"),
        rows: history === undefined ? [] : rowsOf(history[id]),
      }),
    ),
  };
}

const rowsOf = ({ steps }: RoundHistory): RaceRow[] =>
  steps.flatMap(({ step, calls }) => calls.map((call) => ({ ...call, isLogout: step === "logout" })));
