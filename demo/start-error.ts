/** Says in one line, to the person who typed the command, why the server does not start. */
export class StartError extends Error {
  override name = "StartError";
}
