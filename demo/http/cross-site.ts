import type { IncomingHttpHeaders } from "node:http";

/**
 * Whether another site's page sent this request. `SameSite=Lax` keeps our cookie from going along, yet a cross-site
 * log-in would still plant a session of the attacker's. Browsers say where a request comes from in
 * `Sec-Fetch-Site`, older ones in `Origin`; what sends neither is taken for a program.
 */
export function isCrossSite(headers: IncomingHttpHeaders): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  return headers.origin !== undefined && !isOurs(headers.origin, headers.host);
}

/** Behind a proxy that ends TLS we do not know our own scheme, so hosts are compared, each with its default port. */
function isOurs(origin: string, host: string | undefined): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: originHost } = new URL(origin);
  const ourUrl = `${protocol}//${host}`;
  return URL.canParse(ourUrl) && originHost !== "" && new URL(ourUrl).host === originHost;
}
