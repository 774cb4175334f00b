import { getSession, getStore } from "../session";
import { addToCart, endOtherSessions, logIn, logOut } from "./actions";
import { Form } from "./form";
import { SessionView } from "./session-view";

/** A server component: it reads the session, which resets the idle timeout. */
export default async function Page() {
  const request = await getSession();
  const session = await request.read();
  return (
    <main>
      <h1>{session?.username ?? "Guest"}</h1>
      <p>Items in the cart: {session?.cart_items ?? 0}</p>
      <Form action={addToCart}>
        <button>Add an item</button>
      </Form>
      {session && <SessionView session={session} />}
      {session?.username === undefined ? (
        <Form action={logIn}>
          <input name="username" aria-label="Username" required />
          <input name="password" aria-label="Password" type="password" required />
          <button>Log in</button>
        </Form>
      ) : (
        <>
          <Devices username={session.username} currentId={request.id} />
          <Form action={endOtherSessions}>
            <button>End all other sessions</button>
          </Form>
          <Form action={logOut}>
            <button>Log out</button>
          </Form>
        </>
      )}
    </main>
  );
}

async function Devices({ username, currentId = "" }: { username: string; currentId: string | undefined }) {
  const store = await getStore();
  const current = store.handleOf(currentId);
  const sessions = await store.listSessions(username, { limit: 20 });
  return (
    <ul>
      {sessions.map(({ handle, session }) => (
        <li key={handle}>
          {session.device}, since {session.created_at} {handle === current && "(this browser)"}
        </li>
      ))}
    </ul>
  );
}
