import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { SESSION_SCRIPT } from "../../session-store.ts";

/** A file that the page links. */
export interface Asset {
  name: string;
  path: string;
  /** With a version, so that a browser can keep the file and still gets a new one. */
  url: string;
  type: string;
  content: Buffer;
  gzipped: Buffer;
}

export const viewPath = (name: string) => fileURLToPath(new URL(`../../views/${name}`, import.meta.url));

const SCRIPT = "text/javascript; charset=utf-8";

export function loadAssets(): Asset[] {
  return [
    assetOf("style.css", "text/css; charset=utf-8", readView("style.css")),
    assetOf("strip.js", SCRIPT, readView("strip.js")),
    assetOf("page.js", SCRIPT, readView("page.js")),
    assetOf("timeline.js", SCRIPT, readView("timeline.js")),
    assetOf("race.js", SCRIPT, readView("race.js")),
    assetOf("icon.svg", "image/svg+xml", readView("icon.svg")),
    assetOf("session.lua", "text/plain; charset=utf-8", Buffer.from(SESSION_SCRIPT.source)),
  ];
}

const readView = (name: string) => readFileSync(viewPath(name));

function assetOf(name: string, type: string, content: Buffer): Asset {
  const version = createHash("sha256").update(content).digest("base64url").slice(0, 8);
  return { name, path: `/${name}`, url: `/${name}?${version}`, type, content, gzipped: gzipSync(content) };
}
