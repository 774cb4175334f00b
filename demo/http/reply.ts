/** What a handler returns. The headers that every reply has are added when it is sent. */
export interface Reply {
  status: number;
  /** Name, value, name, value …, as `writeHead` takes them: `Set-Cookie` may be there twice. */
  headers: string[];
  body: string | Buffer;
}

const NO_STORE = ["Cache-Control", "no-store"];
const ONE_HOUR = ["Cache-Control", "public, max-age=3600"];

export const jsonReply = (value: object, status = 200, headers: string[] = []): Reply => ({
  status,
  headers: ["Content-Type", "application/json; charset=utf-8", ...NO_STORE, ...headers],
  body: JSON.stringify(value),
});

export const htmlReply = (html: string, status = 200, headers: string[] = []): Reply => ({
  status,
  headers: ["Content-Type", "text/html; charset=utf-8", ...NO_STORE, ...headers],
  body: html,
});

/** Redirects to the page, after a form. `part` is the query and the fragment of its address. */
export const redirectHome = (headers: string[], part = ""): Reply => ({
  status: 303,
  headers: ["Location", `/${part}`, ...NO_STORE, ...headers],
  body: "",
});

/** A file that the page links. A browser may cache it, because its address contains its version. */
export const assetReply = ({ type, content }: { type: string; content: Buffer }): Reply => ({
  status: 200,
  headers: ["Content-Type", type, ...ONE_HOUR],
  body: content,
});
