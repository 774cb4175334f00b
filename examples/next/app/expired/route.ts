import { redirect } from "next/navigation";
import { getSession } from "../../session";

/**
 * Clears the cookie of a session that is gone, which a component cannot do. The browser loads this with the cookie that it
 * has now, so a slow action whose session a log-in has replaced does not sign the user out.
 */
export async function GET(): Promise<never> {
  const session = await getSession();
  await session.read({ clearIfGone: true });
  redirect("/");
}
