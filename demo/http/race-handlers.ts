import type { RaceLab, RaceResult } from "../race-lab/race-lab.ts";
import { RACE_STEPS, type RaceStep } from "../race-lab/race-session.ts";
import { isSessionId } from "../../session-store.ts";
import type { FlashCookie } from "./flash.ts";
import { HttpError } from "./http-error.ts";
import { jsonReply, redirectHome, type Reply } from "./reply.ts";
import type { RequestContext } from "./request-context.ts";
import { roundsIn } from "./form.ts";

/** The routes of the race lab. They need no session. */
export class RaceHandlers {
  readonly #raceLab: RaceLab;
  readonly #flashCookie: FlashCookie;

  constructor({ raceLab, flashCookie }: { raceLab: RaceLab; flashCookie: FlashCookie }) {
    this.#raceLab = raceLab;
    this.#flashCookie = flashCookie;
  }

  async race({ form, wantsHtml }: RequestContext): Promise<Reply> {
    const rounds = roundsIn(form);
    if (this.#raceLab.isRunning) {
      const headers = ["Retry-After", "1"];
      throw new HttpError(429, "Another race is running. Try again in a moment.", { headers, field: "rounds" });
    }
    const race = await this.#raceLab.run(rounds);
    return wantsHtml ? this.#redirectToLab(race) : jsonReply(race);
  }

  /** One step of a race, for the page's script: a visitor runs it step by step. */
  async takeStep({ form }: RequestContext): Promise<Reply> {
    const step = form.get("step");
    if (step === "start") return jsonReply(await this.#raceLab.start());
    const id = form.get("id");
    if (!isRaceStep(step)) throw new HttpError(400, `The step must be start, ${RACE_STEPS.join(", ")}.`);
    if (!isSessionId(id)) throw new HttpError(400, "The id must be that of a race that was started.");
    return jsonReply(await this.#raceLab.takeStep(step, id));
  }

  #redirectToLab(race: RaceResult): Reply {
    const flash = { notice: "raced", request: "POST /race", commands: [], race } as const;
    return redirectHome(["Set-Cookie", this.#flashCookie.set(flash)], "#race");
  }
}

const isRaceStep = (step: unknown): step is RaceStep => (RACE_STEPS as readonly unknown[]).includes(step);
