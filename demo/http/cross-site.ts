import type { IncomingHttpHeaders } from "node:http";

/**
 * Whether another site's page sent this request. `SameSite=Lax` keeps our cookie out of such a request, but a
 * cross-site log-in could still plant a session of the attacker's. Browsers say where a request comes from in
 * `Sec-Fetch-Site`, older ones in `Origin`; a client that sends neither is not a browser.
 */
export function isCrossSite(headers: IncomingHttpHeaders): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  return headers.origin !== undefined && !isSameHost(headers.origin, headers.host);
}

/** Behind a proxy that ends TLS we do not know our own scheme, so the hosts are compared, with the scheme's port. */
function isSameHost(origin: string, host: string | undefined): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: originHost } = new URL(origin);
  const ownUrl = `${protocol}//${host}`;
  return URL.canParse(ownUrl) && originHost !== "" && new URL(ownUrl).host === originHost;
}
