import { parse as parseUserAgent } from "bowser";

const MAX_USER_AGENT = 500; // characters: browsers send some 120

/** The browser that a session was started in, for the list of the user's sessions: `Firefox on Linux`. */
export function deviceOf(userAgent: string | undefined): string {
  const { browser, os } = parseUserAgent(userAgent?.slice(0, MAX_USER_AGENT) || "unknown");
  return [browser.name, os.name].filter(Boolean).join(" on ") || "Unknown device";
}
