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
    assetOf("style.css", "text/css; charset=utf-8", readShortened("style.css")),
    assetOf("strip.js", SCRIPT, readShortened("strip.js")),
    assetOf("page.js", SCRIPT, readShortened("page.js")),
    assetOf("timeline.js", SCRIPT, readShortened("timeline.js")),
    assetOf("race.js", SCRIPT, readShortened("race.js")),
    assetOf("icon.svg", "image/svg+xml", readFileSync(viewPath("icon.svg"))),
    assetOf("session.lua", "text/plain; charset=utf-8", Buffer.from(SESSION_SCRIPT.source)),
  ];
}

/** Without comments on lines of their own and without indentation. No text in these files runs over several lines. */
function readShortened(name: string): Buffer {
  const comment = /^ *\/\*(?:(?!\*\/)[^])*\*\/\n/gm;
  const indentation = /^ +/gm;
  return Buffer.from(readFileSync(viewPath(name), "utf8").replaceAll(comment, "").replaceAll(indentation, ""));
}

function assetOf(name: string, type: string, content: Buffer): Asset {
  const version = createHash("sha256").update(content).digest("base64url").slice(0, 8);
  return { name, path: `/${name}`, url: `/${name}?${version}`, type, content, gzipped: gzipSync(content) };
}
