import type { LoggedCommand } from "./command-log.ts";
import { type ScriptStep, stepsOf } from "./script-steps.ts";

/** A request's Redis commands. */
export interface RequestCost {
  /** `POST /increment` */
  request: string;
  commands: readonly LoggedCommand[];
}

/** What a click cost, together with the page load that followed it. */
export interface Cost {
  title: string;
  roundTrips: string;
  requests: { title: string; commands: CommandView[] }[];
}

export interface CommandView {
  text: string;
  ms: string;
  note: string;
  /** The operation that the link to the script names; empty for no link. */
  operation: string;
  steps: ScriptStep[];
}

/** `requests`: the click first, then the page load. */
export function costOf(requests: RequestCost[]): Cost {
  const roundTrips = requests.map(({ commands }) => Math.max(0, ...commands.map(({ roundTrip }) => roundTrip)));
  const sum = roundTrips.reduce((total, count) => total + count, 0);
  const views = requests.map(({ commands }) =>
    commands.map((command, place) => commandView(command, commands[place - 1])),
  );
  return {
    title: requests.map(({ request }) => request).join(", then "),
    roundTrips: requests.some(isRace) ? RACE_COST : roundTripsText(sum) + commandsText(views.flat()),
    requests: requests.map((request, index) => ({
      title: `${request.request}: ${isRace(request) ? RACE_COST : roundTripsText(roundTrips[index]!)}`,
      commands: views[index]!,
    })),
  };
}

const isRace = ({ request }: RequestCost) => request === "POST /race";
const RACE_COST = "not counted"; // its commands are not logged

function roundTripsText(count: number): string {
  if (count === 0) return "nothing to ask Redis";
  return count === 1 ? "1 round trip to Redis" : `${count} round trips to Redis`;
}

/** How many commands the scripts ran, if that is known of each. */
function commandsText(commands: CommandView[]): string {
  if (commands.length === 0 || commands.some(({ steps }) => steps.length === 0)) return "";
  const steps = commands.flatMap((command) => command.steps);
  const fewest = steps.filter(({ isIfDue }) => !isIfDue).length;
  return `, where scripts run ${fewest === steps.length ? fewest : `${fewest} to ${steps.length}`} commands`;
}

function commandView(command: LoggedCommand, previous: LoggedCommand | undefined): CommandView {
  const { text, ms, operation } = command;
  const steps = stepsOf(command);
  return {
    text,
    ms: `${ms.toFixed(2)} ms`,
    note: noteOn(command, previous),
    operation: steps.length > 0 ? operation : "",
    steps: operation === "clock" ? CLOCK_STEPS : steps,
  };
}

/** The commands of the demo's own script. The store does not need them. */
const CLOCK_STEPS = [
  { command: "TIME", why: "for this page: Redis' time", isIfDue: false },
  { command: "PTTL", why: "for this page: the milliseconds left", isIfDue: false },
];

/** What the steps on the list of a user's sessions are for, a sorted set with a script of its own. */
const LIST_NOTES = new Map([
  ["add", "Adds the new ID to the list of the user's sessions, before there is a session."],
  ["confirm", "Is the ID still in the list? If not, the user's sessions were all ended in the meantime."],
  ["list", "Which sessions does this user have?"],
  ["mark", "Marks the other sessions of this user, so that no rotation saves one."],
  ["remove", "Removes the session from the list of its user."],
]);

function noteOn({ operation, outcome, roundTrip }: LoggedCommand, previous: LoggedCommand | undefined): string {
  if (outcome === "not cached")
    return "Redis had not cached the script yet and refused, so EVAL sends the script along.";
  if (outcome === "refused") return "Redis refused this command.";
  const together = previous?.roundTrip === roundTrip ? "Sent together with the one above: one round trip." : "";
  return `${LIST_NOTES.get(operation) ?? ""} ${together}`.trim();
}
