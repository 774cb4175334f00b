import assert from "node:assert/strict";
import { resolve } from "node:path";
import { Browser, type Reply } from "../browser.ts";
import type { Lifetime } from "../child-process.ts";
import { spawnProgram } from "../demo-process.ts";
import { reservedPort } from "../reserved-port.ts";

/** Starts the application in this folder, which was built before. Resolves to its address. */
export async function spawnNext(t: Lifetime, folder: string, redis: { port: number }): Promise<string> {
  const port = String(await reservedPort());
  const next = resolve(folder, "node_modules/next/dist/bin/next");
  const args = ["start", folder, "--port", port, "--hostname", "127.0.0.1"];
  await spawnProgram(t, next, args, { REDIS_URL: `redis://127.0.0.1:${redis.port}` }).printed(/Ready in/);
  return `http://127.0.0.1:${port}`;
}

/** What the page of the Next example shows. */
export interface NextPage {
  status: number;
  username: string | undefined;
  cartItems: number;
  devices: string[];
  alert: string | undefined;
}

/** A browser without JavaScript, for the forms of the Next example. */
export class NextBrowser extends Browser {
  async open(): Promise<NextPage> {
    return readPage(await this.get("/"));
  }

  /** Submits the form with this button, and follows the redirects. */
  async submit(button: string, fields: Record<string, string> = {}): Promise<NextPage> {
    let reply = await this.send("/", await this.fillIn(button, fields));
    while (reply.status === 303 || reply.status === 307) reply = await this.get(reply.headers.get("location")!);
    return readPage(reply);
  }

  /** Loads the page, and returns the request that its form with this button sends. */
  async fillIn(button: string, fields: Record<string, string> = {}, headers: Record<string, string> = {}) {
    const { text } = await this.get("/");
    const form = text.split("<form").find((each) => each.includes(`<button>${button}</button>`));
    assert.ok(form, `There is no button ${button} in ${text}`);
    const data = new FormData();
    for (const [, name, value = ""] of form.matchAll(/<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?/g)) {
      data.append(name!, value.replaceAll("&quot;", '"'));
    }
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    const body = new Response(data);
    const type = body.headers.get("content-type")!;
    return {
      method: "POST",
      headers: { "content-type": type, ...headers },
      body: new Uint8Array(await body.arrayBuffer()),
    };
  }
}

export function readPage({ status, text }: Reply): NextPage {
  const shown = text.replaceAll("<!-- -->", "");
  const username = /<h1>(.+?)<\/h1>/.exec(shown)?.[1];
  return {
    status,
    username: username === "Guest" ? undefined : username,
    cartItems: Number(/Items in the cart: (\d+)/.exec(shown)?.[1]),
    devices: Array.from(shown.matchAll(/<li>(.+?), since/g), ([, device]) => device!),
    alert: /<p role="alert">(.+?)<\/p>/.exec(shown)?.[1],
  };
}
