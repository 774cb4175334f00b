"use server";

import { parse as parseUserAgent } from "bowser";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { getSession, getStore } from "../session";

// These actions need no cross-site check: Next refuses one that another site sends, by comparing `Origin` with `Host`.

export interface ActionResult {
  error?: string;
}

export async function addToCart(): Promise<ActionResult> {
  return run(async () => {
    const [session, store] = await Promise.all([getSession(), getStore()]);
    const items = await store.incrementField(session.id, "cart_items");
    return items !== null || (await session.write({ cart_items: 1 })) ? "/" : "/expired";
  });
}

export async function logIn(_previous: ActionResult, form: FormData): Promise<ActionResult> {
  const username = authenticate(form);
  if (username === undefined) return { error: "Wrong username or password." };
  return run(async () => {
    const device = deviceOf((await headers()).get("User-Agent"));
    const session = await getSession();
    await session.logIn({ username, device }, { user: username, keep: ["cart_items"] });
    return "/";
  });
}

export async function endOtherSessions(): Promise<ActionResult> {
  return run(async () => {
    const [session, store] = await Promise.all([getSession(), getStore()]);
    const username = (await session.read())?.username;
    if (username !== undefined) await store.endSessions(username, { except: session.id });
    return "/";
  });
}

export async function logOut(): Promise<ActionResult> {
  return run(async () => {
    await (await getSession()).logOut();
    return "/";
  });
}

/** Does what the action does, and loads the page that it names. An outage of Redis leaves the cookie alone. */
async function run(action: () => Promise<string>): Promise<ActionResult> {
  let page: string;
  try {
    page = await action();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "REDIS_UNAVAILABLE") return { error: "Try again shortly." };
    if (code === "SESSION_REVOKED") return { error: "Log in again." };
    throw error;
  }
  redirect(page); // it throws, so it must not be inside the try
}

/** A short name of the browser, such as "Firefox on Linux", for the list of the user's sessions. */
function deviceOf(userAgent: string | null): string {
  const { browser, os } = parseUserAgent(userAgent?.slice(0, 500) || "unknown");
  return [browser.name, os.name].filter(Boolean).join(" on ") || "Unknown device";
}

/** Returns the name of the user. Replace this with your own check of the password against its hash. */
function authenticate(form: FormData): string | undefined {
  const username = form.get("username");
  const isRight = typeof username === "string" && /^\w{1,40}$/.test(username) && form.get("password") === "secret";
  return isRight ? username : undefined;
}
