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
  sameSite: "lax" | "strict" | "none";
  secure: boolean;
  maxAge?: number;
  domain?: string;
  partitioned?: true;
}

/**
 * Reads the session cookie of one request, and sets it in its response. `headerJar` makes one for any framework. `set` is
 * called last, after the change in Redis. If it throws or rejects, because the response has been sent or the framework
 * allows no cookie at this place, the new session is deleted.
 */
export interface CookieJar {
  get(name: string): string | undefined;
  set(name: string, value: string, attributes: CookieAttributes): unknown;
}

export interface SessionCookieOptions {
  /**
   * The name of the cookie. Two applications on one host need two names, also if their ports differ, because cookies
   * ignore the port. Default: `sid`.
   */
  name?: string;
  /**
   * Send the cookie over HTTPS only, and put `__Host-` before its name: browsers accept a cookie with this prefix only
   * from the host itself, so another subdomain cannot set it. Default: `false`, for plain HTTP on localhost.
   */
  secure?: boolean;
  /** Seconds for which the browser keeps the cookie; the session may end earlier. Default: until the browser is closed. */
  maxAge?: number | undefined;
  /**
   * Which requests of other sites the cookie is sent with: with `lax` when a link is followed, with `strict` never, with
   * `none` always, as an application in a frame of another site needs. `none` needs `secure`. Default: `lax`.
   */
  sameSite?: "lax" | "strict" | "none";
  /**
   * Send the cookie to this domain and all its subdomains, for an application on several of them. Each of them can then
   * read and replace the cookie, and so can whoever takes one over: the prefix is `__Secure-` instead of `__Host-`.
   * Default: the host that sets the cookie, and no other.
   */
  domain?: string | undefined;
  /**
   * In a frame of another site, keep a cookie for each such site (CHIPS), because browsers block third-party cookies that
   * are not partitioned. Needs `secure`, and usually `sameSite: "none"`. Default: `false`.
   */
  partitioned?: boolean;
}

/** The name and the attributes of the cookie. */
export class SessionCookie {
  /** With its prefix. */
  readonly name: string;
  readonly attributes: Readonly<CookieAttributes>;

  constructor(options: SessionCookieOptions = {}) {
    const { name = "sid", secure = false, maxAge, sameSite = "lax", domain, partitioned = false } = options;
    if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 1)) {
      throw new RangeError(`maxAge must be a whole number of seconds greater than 0; got ${String(maxAge)}`);
    }
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      throw new TypeError(`name must consist of letters, digits and !#$%&'*+-.^_\`|~; got ${JSON.stringify(name)}`);
    }
    if (/^__(Host|Secure|Http|Host-Http)-/i.test(name)) {
      throw new TypeError(`name must not begin with a prefix, because secure and domain determine it; got ${name}`);
    }
    if (!["lax", "strict", "none"].includes(sameSite)) {
      throw new TypeError(`sameSite must be "lax", "strict" or "none"; got ${JSON.stringify(sameSite)}`);
    }
    if (sameSite === "none" && !secure) throw new TypeError('sameSite: "none" needs secure: true');
    if (partitioned && !secure) throw new TypeError("partitioned needs secure: true");
    if (domain !== undefined && !isDomain(domain)) {
      throw new TypeError(`domain must be a name such as example.com; got ${JSON.stringify(domain)}`);
    }
    const prefix = domain === undefined ? "__Host-" : "__Secure-";
    this.name = secure ? prefix + name : name;
    this.attributes = {
      path: "/",
      httpOnly: true,
      sameSite,
      secure,
      ...(maxAge !== undefined && { maxAge }),
      ...(domain !== undefined && { domain }),
      ...(partitioned && { partitioned }),
    };
  }

  /** Returns the session ID in a `Cookie` header, or `undefined`. There need not be such a session. */
  read(cookieHeader: string | null | undefined): string | undefined {
    return readSessionId(cookieHeader, this.name);
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
  rotateSession(id: string | undefined, data?: Data): Promise<string | null>;
  deleteSession(id: string | undefined): Promise<boolean>;
}

/**
 * The session of one request. What may change its cookie happens one after the other, in the order of the calls: otherwise
 * two writes at the same time would create two sessions, and what one of them wrote would be lost.
 */
export class RequestSession<Data extends object, Session extends object, CreateOptions extends object> {
  readonly #store: SessionOperations<Data, Session, CreateOptions>;
  readonly #cookie: SessionCookie;
  readonly #jar: CookieJar;
  #id: string | undefined;
  #underWay: Promise<void> | undefined;

  constructor(store: SessionOperations<Data, Session, CreateOptions>, cookie: SessionCookie, jar: CookieJar) {
    this.#store = store;
    this.#cookie = cookie;
    this.#jar = jar;
    const value = jar.get(cookie.name);
    this.#id = isSessionId(value) ? value : undefined;
  }

  /**
   * The session ID, for the other operations of the store: that of the request or, after a log-in or a rotation, the new
   * one. There need not be such a session.
   */
  get id(): string | undefined {
    return this.#id;
  }

  /**
   * Reads the session; `null` if there is none. `refreshTtl` resets its idle timeout. Use `false` for requests that a page
   * sends by itself, or they keep the session alive. Default: `true`. `clearIfGone` clears a cookie whose session is gone.
   * Use it where a whole page is loaded, and nowhere else. Default: `false`.
   */
  async read({
    refreshTtl = true,
    clearIfGone = false,
  }: { refreshTtl?: boolean; clearIfGone?: boolean } = {}): Promise<Session | null> {
    if (!clearIfGone) return this.#id === undefined ? null : this.#store.getSession(this.#id, { refreshTtl });
    return this.#inTurn(async () => {
      if (this.#id === undefined) return null;
      const session = await this.#store.getSession(this.#id, { refreshTtl });
      if (session === null) await this.#clearCookie();
      return session;
    });
  }

  /**
   * Writes fields to the session, and creates one if the request has no cookie. `false` if the session of the cookie is
   * gone. Nothing is written then, and no session is created: its cookie could replace that of a log-in that was
   * handled in the meantime.
   *
   * `create: false` creates none for a request without a cookie either. Use it for requests that another site sends,
   * such as the call-back of a bank: they come without the cookie, although the browser has it, and a new one would
   * replace it. Default: `true`.
   */
  async write(data: Data, { create = true }: { create?: boolean } = {}): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#id !== undefined) return this.#store.updateSession(this.#id, data);
      if (!create) return false;
      const id = await this.#store.createSession(data);
      await this.#orDelete(id, () => this.#setCookie(id));
      return true;
    });
  }

  /**
   * Creates the session of a user, and deletes the one that the browser had, because an attacker may know its ID
   * (session fixation). `options` are those of `createSession` and `keep`: the fields to copy from the old session,
   * such as the cart of a visitor. No other field is copied, because another user may have used the browser before.
   * `data` and these fields are one write, and must fit into the store's `maxWriteBytes`.
   *
   * It is not a rotation, which would keep all fields and the old timeouts. It reads the old session, creates the new
   * one, and deletes the old one. If another request writes to the old session in the meantime, that write is lost. If
   * Redis fails, the cookie stays as it was.
   */
  async logIn(data: Data, options?: CreateOptions & { keep?: readonly (keyof Data & string)[] }): Promise<void> {
    await this.#inTurn(async () => {
      const kept = await this.#pick(options?.keep ?? []);
      const id = await this.#store.createSession({ ...kept, ...data }, options);
      await this.#orDelete(id, async () => {
        await this.#store.deleteSession(this.#id);
        await this.#setCookie(id);
      });
    });
  }

  /**
   * Gives the session a new ID and changes it by `data`. Use it at each other change of what the user may do; a
   * log-in needs no rotation. `false` if there is no session, or if it ended meanwhile. The cookie is left alone then.
   */
  async rotate(data?: Data): Promise<boolean> {
    return this.#inTurn(async () => {
      const id = await this.#store.rotateSession(this.#id, data);
      if (id === null) return false;
      await this.#orDelete(id, () => this.#setCookie(id));
      return true;
    });
  }

  /** Deletes the session and clears the cookie. Logging out twice is not an error. */
  async logOut(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#store.deleteSession(this.#id);
      await this.#clearCookie();
    });
  }

  /** Begins at once if nothing is under way. */
  async #inTurn<Result>(operation: () => Promise<Result>): Promise<Result> {
    while (this.#underWay !== undefined) await this.#underWay;
    const result = operation();
    const end = () => (this.#underWay = undefined);
    this.#underWay = result.then(end, end);
    return result;
  }

  async #pick(names: readonly string[]): Promise<Partial<Data>> {
    if (names.length === 0) return {};
    const session = await this.#store.getSession(this.#id, { refreshTtl: false });
    const fields = Object.entries(session ?? {}).filter(([name]) => names.includes(name));
    return Object.fromEntries(fields) as Partial<Data>;
  }

  /** Deletes the new session if the browser does not get its ID: nobody could use it or end it. */
  async #orDelete(id: string, giveToBrowser: () => Promise<void>): Promise<void> {
    try {
      await giveToBrowser();
    } catch (error) {
      await this.#store.deleteSession(id).catch(() => {}); // what matters to the caller is the first error
      throw error;
    }
  }

  async #setCookie(id: string): Promise<void> {
    await this.#setInJar(id, this.#cookie.attributes);
    this.#id = id;
  }

  async #clearCookie(): Promise<void> {
    await this.#setInJar("", { ...this.#cookie.attributes, maxAge: 0 });
    this.#id = undefined;
  }

  /** Waits for a promise only: the `then` of Fastify's reply, which its methods return, waits until it is sent. */
  async #setInJar(value: string, attributes: CookieAttributes): Promise<void> {
    const result = this.#jar.set(this.#cookie.name, value, attributes);
    if (result instanceof Promise) await result;
  }
}

/**
 * A jar over the `Cookie` header of a request. It finds session IDs and no other cookies. `appendSetCookie` must add a
 * `Set-Cookie` header to the response and keep those that are there already.
 */
export function headerJar(
  cookieHeader: string | null | undefined,
  appendSetCookie: (setCookie: string) => unknown,
): CookieJar {
  return {
    get: (name) => readSessionId(cookieHeader, name),
    set: (name, value, attributes) => appendSetCookie(formatCookie(name, value, attributes)),
  };
}

/** The request headers that say where a request comes from. Their names are in lower case, as in Node. */
export interface OriginHeaders {
  host?: string | undefined;
  origin?: string | undefined;
  "sec-fetch-site"?: string | string[] | undefined;
}

export interface CrossSiteOptions {
  /**
   * Other origins whose pages may send requests, such as `https://app.example.com` if the pages and the API are on two
   * hosts, or `http://localhost:5173` for a development server. Each is a scheme, a host, and a port unless it is the
   * default one; others are a `TypeError`. Default: none.
   */
  allowedOrigins?: readonly string[];
}

/**
 * Whether a page of another origin sent this request. Another subdomain is another origin. Check it for every request
 * that changes something, and reply with 403. `SameSite=Lax` is not enough: it only keeps the cookie from being sent
 * along, and a log-in needs no cookie, so another site could log your user in to an account of the attacker (login CSRF).
 * Browsers send `Sec-Fetch-Site` over HTTPS and to localhost; over plain HTTP elsewhere, and if they are old, `Origin`
 * only. A request without either header comes from a program, not from a page in a browser.
 *
 * Over plain HTTP elsewhere than on localhost, the pages must not have the `Referrer-Policy: no-referrer`, which is the
 * default of Helmet: browsers then send their forms with `Origin: null`. Use `same-origin`, which sends no referrer to
 * other sites either.
 */
export function isCrossSite(headers: OriginHeaders, { allowedOrigins = [] }: CrossSiteOptions = {}): boolean {
  for (const allowed of allowedOrigins) assertOrigin(allowed);
  const { origin, host, "sec-fetch-site": site } = headers;
  if (origin !== undefined && allowedOrigins.includes(origin)) return false;
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  return origin !== undefined && !isSameHost(origin, host);
}

function assertOrigin(value: string): void {
  const isOrigin = URL.canParse(value) && new URL(value).origin === value && !value.includes("*");
  if (isOrigin) return;
  throw new TypeError(`allowedOrigins must be origins such as "https://example.com"; got ${JSON.stringify(value)}`);
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

/** What `session-store.ts` creates: 32 bytes in base64url. */
function isSessionId(value: string | undefined): value is string {
  return value !== undefined && /^[\w-]{43}$/.test(value);
}

/**
 * A name and a session ID, with spaces and tabs around them, as HTTP allows. No other white space is left out: a browser
 * accepts a cookie whose name begins with it from another subdomain, and it would count as `__Host-sid`.
 */
const SESSION_PAIR = /^[ \t]*([^ \t=]+)[ \t]*=[ \t]*([\w-]{43})[ \t]*$/;

/**
 * Returns the first value of this name that has the form of a session ID. There may be others: another application on
 * this domain or on another port may use the same name. Browsers send the cookie with the longest path first.
 */
function readSessionId(cookieHeader: string | null | undefined, name: string): string | undefined {
  for (const pair of cookieHeader?.split(";") ?? []) {
    const [, foundName, id] = SESSION_PAIR.exec(pair) ?? [];
    if (foundName === name) return id;
  }
  return undefined;
}

/** Labels of letters, digits and hyphens. The last one begins with a letter, which that of an IP address does not. */
function isDomain(text: string): boolean {
  const labels = text.split(".");
  const areLabels = labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label));
  return areLabels && text.length <= 253 && /^[a-z]/i.test(labels.at(-1)!);
}

/** A session ID consists of letters, digits, `-` and `_`, so its value needs no encoding. */
function formatCookie(name: string, value: string, attributes: CookieAttributes): string {
  const { path, secure, sameSite, maxAge, domain, partitioned } = attributes;
  return [
    `${name}=${value}`,
    ...(maxAge === undefined ? [] : [`Max-Age=${String(maxAge)}`]),
    ...(domain === undefined ? [] : [`Domain=${domain}`]),
    `Path=${path}`,
    "HttpOnly",
    ...(secure ? ["Secure"] : []),
    ...(partitioned ? ["Partitioned"] : []),
    `SameSite=${sameSite[0]!.toUpperCase()}${sameSite.slice(1)}`,
  ].join("; ");
}
