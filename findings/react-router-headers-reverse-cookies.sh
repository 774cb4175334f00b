#!/usr/bin/env bash
# In React Router, loaders and actions set cookies, and all their Set-Cookie headers are sent. If a page and its parent set the same
# cookie, that of the page comes last, so a browser keeps it. But if the page exports `headers`, for a Cache-Control say, that of
# its parent comes last. Here the root loader renews the session cookie of each visitor, and the action of a page logs the user
# in: with `headers`, in vain. This is so for forms that are posted without JavaScript. With it, action and loaders have a
# request each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts react-router-7@npm:react-router@7.18.7 \
  react-router-8@npm:react-router@8.5.3 react@19.3.1 react-dom@19.3.1

cat > show.mjs <<'JS'
const expected = { "without headers": "andrew", "with headers": undefined };
let isAsDescribed = true;
for (const name of ["react-router-7", "react-router-8"]) {
  const { createCookieSessionStorage, createRequestHandler, data } = await import(name);
  const { commitSession, getSession } = createCookieSessionStorage({ cookie: { name: "sid", path: "/", maxAge: 1800, secrets: ["any"] } });

  const sessionOf = (request) => getSession(request.headers.get("Cookie"));
  const reply = async (session) => data(null, { headers: { "Set-Cookie": await commitSession(session) } });
  const root = { default: () => null, loader: async ({ request }) => reply(await sessionOf(request)) };
  const logInPage = {
    default: () => null,
    async action({ request }) {
      const session = await sessionOf(request);
      session.set("user", "andrew");
      return reply(session);
    },
  };
  const pages = { "without headers": logInPage, "with headers": { ...logInPage, headers: () => ({ "Cache-Control": "no-store" }) } };
  for (const [title, page] of Object.entries(pages)) {
    /** What the compiler makes of an application with these two routes. */
    const build = {
      entry: { module: { default: (_, status, headers) => new Response("the page", { status, headers }) } },
      routes: {
        root: { id: "root", path: "", module: root },
        "log-in": { id: "log-in", parentId: "root", path: "log-in", module: page },
      },
      assets: { entry: { imports: [], module: "" }, routes: {}, url: "", version: "" },
      routeDiscovery: { mode: "initial", manifestPath: "/__manifest" },
      ...{ publicPath: "/", assetsBuildDirectory: "", future: {}, ssr: true, isSpaMode: false, prerender: [] },
    };
    const handle = createRequestHandler(build, "production");
    const body = new URLSearchParams({ username: "andrew" });
    const response = await handle(new Request("http://localhost/log-in", { method: "POST", body }));
    const cookies = response.headers.getSetCookie();
    const users = await Promise.all(cookies.map(async (cookie) => (await getSession(cookie)).get("user")));
    console.log(`${name}, ${title}: ${response.status}, the user in each Set-Cookie: ${users.map((user) => user ?? "nobody").join(", ")}`);
    isAsDescribed &&= users.length === 2 && users.at(-1) === expected[title];
  }
}
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
npm ls --depth 0
node show.mjs
