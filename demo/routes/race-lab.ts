/** The routes of the race lab. They need no session. */
import { isSessionId } from "../../session-store.ts";
import { HttpError } from "../http/http-error.ts";
import { jsonReply, type Reply } from "../http/reply.ts";
import { RACE_STEPS, type RaceStep } from "../race-lab/race-session.ts";
import { roundsIn } from "./form-fields.ts";
import { redirectHome } from "./redirect-home.ts";
import type { RequestContext } from "./request-context.ts";

export async function runRace(context: RequestContext): Promise<Reply> {
  const race = await context.app.raceLab.run(roundsIn(context.form));
  if (race === null) {
    throw new HttpError(429, "Another race is running. Try again in a moment.", {
      headers: [["Retry-After", "1"]],
      field: "rounds",
    });
  }
  return context.wantsHtml ? redirectHome(context, { notice: "raced", race }, { part: "#race" }) : jsonReply(race);
}

/** One step of a race, for the page's script: a visitor runs it step by step. */
export async function runStep({ app, form }: RequestContext): Promise<Reply> {
  const step = form.get("step");
  if (step === "start") return jsonReply(await app.raceLab.start());
  const id = form.get("id");
  if (!isRaceStep(step)) throw new HttpError(400, `The step must be start, ${RACE_STEPS.join(", ")}.`);
  if (!isSessionId(id)) throw new HttpError(400, "The id must be that of a race that was started.");
  return jsonReply(await app.raceLab.runStep(step, id));
}

const isRaceStep = (step: unknown): step is RaceStep => (RACE_STEPS as readonly unknown[]).includes(step);
