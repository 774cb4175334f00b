import { parseCookie, stringifySetCookie } from "cookie";

/** All that a browser holds of its session: the ID, in a cookie that page scripts cannot read. */
export class SessionCookie {
  readonly name: string;
  readonly isSecure: boolean;
  readonly #attributes: { path: string; httpOnly: boolean; sameSite: "lax"; secure?: boolean };

  /** `secure`: sent over HTTPS only, and named `__Host-sid`, so that no neighbouring host can set it. */
  constructor({ secure = false } = {}) {
    this.isSecure = secure;
    this.name = secure ? "__Host-sid" : "sid";
    this.#attributes = { path: "/", httpOnly: true, sameSite: "lax", ...(secure && { secure }) };
  }

  /** The ID that was sent, whether or not there is such a session; undefined without the cookie. */
  read(cookieHeader: string | undefined): string | undefined {
    return cookieHeader === undefined ? undefined : parseCookie(cookieHeader)[this.name];
  }

  /** The `Set-Cookie` value for an ID. The cookie lasts until the browser is closed; Redis keeps the time. */
  set(id: string): string {
    return stringifySetCookie(this.name, id, this.#attributes);
  }

  /** The `Set-Cookie` value that makes the browser forget the ID. */
  clear(): string {
    return stringifySetCookie(this.name, "", { ...this.#attributes, maxAge: 0 });
  }
}
