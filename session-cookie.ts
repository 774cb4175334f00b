/**
 * The session cookie, and what an application does with the session of one request. Copy this file together with
 * `session-store.ts`. It knows no framework and needs nothing but Node.
 *
 *     const cookie = new SessionCookie({ secure: true });
 *     const jar = headerJar(request.headers.cookie, (setCookie) => response.append("Set-Cookie", setCookie));
 *     const session = new RequestSession(store, cookie, jar);
 *
 *     await session.write({ theme: "dark" });                             // creates a session if there is no cookie
 *     await session.logIn({ username: "andrew" }, { keep: ["theme"] });   // always creates one, with a new ID
 *     await session.read();                                               // { username: "andrew", theme: "dark", … }
 *     await session.logOut();
 *
 * The browser holds the session ID and nothing else. The main danger is a slow request: it is sent with an ID, a log-in
 * replaces that ID, and then the response to the slow request reaches the browser. If that response cleared or replaced
 * the cookie because the old ID is dead, it would sign the user out. So a request with a dead ID does not change the
 * cookie, unless it is a log-in, a log-out, or a page load that asks for it with `clearIfGone`.
 */

/** Attributes of the cookie. `maxAge` is in seconds. Express' `response.cookie` takes milliseconds, so use `headerJar`. */
export interface CookieAttributes {
  path: "/";
  httpOnly: true;
  sameSite: "lax";
  secure: boolean;
  maxAge?: number;
}

/** Reads the cookies of one request and sets cookies in its response. `headerJar` makes one for any framework. */
export interface CookieJar {
  get(name: string): string | undefined;
  set(name: string, value: string, attributes: CookieAttributes): unknown;
}

export interface SessionCookieOptions {
  /**
   * Send the cookie over HTTPS only, and name it `__Host-sid`: browsers accept a cookie with this prefix only from the
   * host itself, so another subdomain cannot set it. Default: `false`, for plain HTTP on localhost; the name is `sid`.
   */
  secure?: boolean;
  /** Seconds for which the browser keeps the cookie; the session may end earlier. Default: until the browser is closed. */
  maxAge?: number | undefined;
}

/** The name and the attributes of the cookie. */
export class SessionCookie {
  readonly name: string;
  readonly attributes: Readonly<CookieAttributes>;

  constructor({ secure = false, maxAge }: SessionCookieOptions = {}) {
    if (maxAge !== undefined && !(Number.isInteger(maxAge) && maxAge >= 1)) {
      throw new RangeError(`maxAge must be a whole number of seconds greater than 0; got ${String(maxAge)}`);
    }
    this.name = secure ? "__Host-sid" : "sid";
    const attributes = { path: "/", httpOnly: true, sameSite: "lax", secure } as const;
    this.attributes = maxAge === undefined ? attributes : { ...attributes, maxAge };
  }

  /** Returns the session ID in a `Cookie` header, or `undefined`. There need not be such a session. */
  read(cookieHeader: string | undefined): string | undefined {
    return readCookie(cookieHeader, this.name);
  }

  /** Returns the value of the `Set-Cookie` header that gives the browser a session ID. */
  set(id: string): string {
    return formatCookie(this.name, id, this.attributes);
  }

  /** Returns the value of the `Set-Cookie` header that makes the browser delete the cookie. */
  clear(): string {
    return formatCookie(this.name, "", { ...this.attributes, maxAge: 0 });
  }
}

/** What `RequestSession` needs of a store. `RedisSessionStore` and `UserSessions` have it. */
export interface SessionOperations<Data extends object, Session extends object, CreateOptions extends object> {
  createSession(data?: Data, options?: CreateOptions): Promise<string>;
  getSession(id: string | undefined, options?: { refreshTtl?: boolean }): Promise<Session | null>;
  updateSession(id: string | undefined, data: Data): Promise<boolean>;
  deleteSession(id: string | undefined): Promise<boolean>;
}

/** The session of one request. */
export class RequestSession<Data extends object, Session extends object, CreateOptions extends object> {
  readonly #store: SessionOperations<Data, Session, CreateOptions>;
  readonly #cookie: SessionCookie;
  readonly #jar: CookieJar;
  #id: string | undefined;

  constructor(store: SessionOperations<Data, Session, CreateOptions>, cookie: SessionCookie, jar: CookieJar) {
    this.#store = store;
    this.#cookie = cookie;
    this.#jar = jar;
    this.#id = jar.get(cookie.name);
  }

  /** The session ID, for the other operations of the store: that of the request or, after a log-in, the new one. */
  get id(): string | undefined {
    return this.#id;
  }

  /**
   * Reads the session and resets its idle timeout; `null` if there is none. `clearIfGone` clears a cookie whose session
   * is gone. Use it where a whole page is loaded, and nowhere else. Default: `false`.
   */
  async read({ clearIfGone = false }: { clearIfGone?: boolean } = {}): Promise<Session | null> {
    if (this.#id === undefined) return null;
    const session = await this.#store.getSession(this.#id);
    if (session === null && clearIfGone) this.#clear();
    return session;
  }

  /**
   * Writes fields to the session, and creates one if the request has no cookie. `false` if the session of the cookie is
   * gone. Nothing is written then, and no session is created: its cookie could replace that of a log-in that was
   * handled in the meantime.
   */
  async write(data: Data): Promise<boolean> {
    if (this.#id !== undefined) return this.#store.updateSession(this.#id, data);
    this.#set(await this.#store.createSession(data));
    return true;
  }

  /**
   * Creates the session of a user, and deletes the one that the browser had, because an attacker may know its ID
   * (session fixation). `options` are those of `createSession` and `keep`: the fields to copy from the old session,
   * such as the cart of a visitor. No other field is copied, because another user may have used the browser before.
   *
   * It is not a rotation, which would keep all fields and the old timeouts. It reads the old session, creates the new
   * one, and deletes the old one. If another request writes to the old session in the meantime, that write is lost. If
   * Redis fails, the browser has the old session or the new one.
   */
  async logIn(data: Data, options?: CreateOptions & { keep?: readonly (keyof Data & string)[] }): Promise<void> {
    const oldId = this.#id;
    const kept = await this.#pick(options?.keep ?? []);
    this.#set(await this.#store.createSession({ ...kept, ...data }, options));
    await this.#store.deleteSession(oldId);
  }

  /** Deletes the session and clears the cookie. Logging out twice is not an error. */
  async logOut(): Promise<void> {
    await this.#store.deleteSession(this.#id);
    this.#clear();
  }

  async #pick(names: readonly string[]): Promise<Partial<Data>> {
    if (names.length === 0) return {};
    const session = await this.#store.getSession(this.#id, { refreshTtl: false });
    const fields = Object.entries(session ?? {}).filter(([name]) => names.includes(name));
    return Object.fromEntries(fields) as Partial<Data>;
  }

  #set(id: string): void {
    this.#id = id;
    this.#jar.set(this.#cookie.name, id, this.#cookie.attributes);
  }

  #clear(): void {
    this.#id = undefined;
    this.#jar.set(this.#cookie.name, "", { ...this.#cookie.attributes, maxAge: 0 });
  }
}

/**
 * A jar over the `Cookie` header of a request. `appendSetCookie` must add a `Set-Cookie` header to the response and
 * leave those alone that are there already.
 */
export function headerJar(
  cookieHeader: string | null | undefined,
  appendSetCookie: (setCookie: string) => unknown,
): CookieJar {
  return {
    get: (name) => readCookie(cookieHeader, name),
    set: (name, value, attributes) => appendSetCookie(formatCookie(name, value, attributes)),
  };
}

/** The request headers that say where a request comes from. Their names are in lower case, as in Node. */
export interface OriginHeaders {
  host?: string | undefined;
  origin?: string | undefined;
  "sec-fetch-site"?: string | string[] | undefined;
}

/**
 * Whether a page of another origin sent this request, also one of another subdomain. Check it for every request that
 * changes something, and reply with 403. `SameSite=Lax` is not enough: it only keeps the cookie from being sent along, and
 * a log-in needs no cookie, so another site could log your user in to an account of the attacker (login CSRF). Browsers
 * send `Sec-Fetch-Site` over HTTPS and to localhost; over plain HTTP elsewhere, and if they are old, `Origin` only. A
 * request without either header comes from a program, not from a page in a browser.
 */
export function isCrossSite(headers: OriginHeaders): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  return headers.origin !== undefined && !isSameHost(headers.origin, headers.host);
}

/**
 * Compares hosts only: behind a proxy that terminates TLS, the scheme of the request is not known. Both are parsed with
 * the origin's scheme, so its default port (`:443`) is dropped from both.
 */
function isSameHost(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const originUrl = new URL(origin);
  const ownUrl = `${originUrl.protocol}//${host}`;
  return originUrl.host !== "" && URL.canParse(ownUrl) && originUrl.host === new URL(ownUrl).host;
}

/** If there are several cookies of that name, the first counts: browsers send the one with the longest path first. */
function readCookie(cookieHeader: string | null | undefined, name: string): string | undefined {
  for (const pair of cookieHeader?.split(";") ?? []) {
    const separator = pair.indexOf("=");
    if (separator !== -1 && pair.slice(0, separator).trim() === name) return pair.slice(separator + 1).trim();
  }
  return undefined;
}

/** A session ID consists of letters, digits, `-` and `_`, so its value needs no encoding. */
function formatCookie(name: string, value: string, { path, secure, maxAge }: CookieAttributes): string {
  const lifetime = maxAge === undefined ? "" : `; Max-Age=${String(maxAge)}`;
  return `${name}=${value}${lifetime}; Path=${path}; HttpOnly${secure ? "; Secure" : ""}; SameSite=Lax`;
}
