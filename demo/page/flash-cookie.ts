import { parseCookie, stringifySetCookie } from "cookie";
import { isNoticeName, type NoticeName } from "./notices.ts";
import { RACE_WAYS, type RaceResult, type RoundHistory } from "../race-lab/race-lab.ts";
import type { LoggedCommand } from "../explain/command-log.ts";

/** What a form did: the page shows it once. */
export interface Flash {
  notice: NoticeName;
  /** `POST /increment` */
  request: string;
  commands: readonly LoggedCommand[];
  /** The result of a race. */
  race?: RaceResult | undefined;
}

const MAX_AGE = 30; // seconds: enough to follow the redirect
const MAX_VALUE = 2800; // characters: the cookie stays under 3 KB, and browsers drop cookies over 4 KB

/**
 * Carries what a form did across the redirect to the page, in a cookie that the page clears. So it is shown once,
 * without JavaScript too, by any of several servers. It holds no personal data.
 */
export class FlashCookie {
  readonly #name: string;
  readonly #attributes: { path: string; httpOnly: boolean; sameSite: "lax"; secure?: boolean };

  constructor({ secure = false } = {}) {
    this.#name = secure ? "__Host-flash" : "flash";
    this.#attributes = { path: "/", httpOnly: true, sameSite: "lax", ...(secure && { secure }) };
  }

  /** Undefined if there is none, or if it was not written by `set`. */
  read(cookieHeader: string | undefined): Flash | undefined {
    const value = cookieHeader === undefined ? undefined : parseCookie(cookieHeader)[this.#name];
    if (!value || value.length > MAX_VALUE) return undefined;
    try {
      const flash: unknown = JSON.parse(Buffer.from(value, "base64url").toString());
      return isFlash(flash) ? flash : undefined;
    } catch {
      return undefined;
    }
  }

  /** The `Set-Cookie` value. Commands that do not fit are left out, the last ones first. */
  set({ commands, ...flash }: Flash): string {
    const value = Buffer.from(JSON.stringify({ ...flash, commands })).toString("base64url");
    if (value.length > MAX_VALUE && commands.length > 0) return this.set({ ...flash, commands: commands.slice(0, -1) });
    return stringifySetCookie(this.#name, value, { ...this.#attributes, maxAge: MAX_AGE });
  }

  /** The `Set-Cookie` value that makes the browser forget it. */
  clear(): string {
    return stringifySetCookie(this.#name, "", { ...this.#attributes, maxAge: 0 });
  }
}

function isFlash(value: unknown): value is Flash {
  const { notice, request, commands, race } = value as Partial<Flash>;
  if (!isNoticeName(notice) || !isText(request) || !Array.isArray(commands)) return false;
  return commands.every(isLoggedCommand) && (race === undefined || isRaceResult(race));
}

function isLoggedCommand(value: unknown): value is LoggedCommand {
  const { text, operation, args, outcome, ms, roundTrip } = value as Partial<LoggedCommand>;
  if (!Array.isArray(args) || ![text, operation, outcome, ...args].every(isText)) return false;
  return [ms, roundTrip].every(Number.isFinite);
}

const isText = (value: unknown) => typeof value === "string";

function isRaceResult(value: unknown): value is RaceResult {
  const { rounds, work_ms, history, ...ways } = value as Partial<RaceResult>;
  if (![rounds, work_ms, ...RACE_WAYS.map((way) => ways[way]?.revived)].every(Number.isFinite)) return false;
  return history === null || RACE_WAYS.every((way) => isRoundHistory(history?.[way]));
}

function isRoundHistory(value: unknown): value is RoundHistory {
  const { steps, fields } = (value ?? {}) as Partial<RoundHistory>;
  if (!Array.isArray(steps) || typeof fields !== "object" || fields === null) return false;
  if (!steps.every(({ step, calls }) => isText(step) && Array.isArray(calls))) return false;
  return steps.flatMap((step) => step.calls).every(({ call, reply, held }) => [call, reply, held].every(isText));
}
