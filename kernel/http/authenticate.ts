import { CloudError } from "../errors/cloud-error.ts";
import type { Credentials } from "../policy/credentials.ts";
import { unauthenticated } from "./http-errors.ts";
import type { AgentAuthenticator, AgentIdentity, Authenticator, TokenUse } from "./request.ts";

/** Who a token speaks for. All that is wrong with a token reads the same to its bearer: 401 in the form of the token check. */
export async function authenticateToken(
  authenticator: Authenticator,
  token: string,
  use: TokenUse,
): Promise<Credentials> {
  if (token === "") throw unauthenticated();
  try {
    return await authenticator.authenticate(token, use);
  } catch (error) {
    throw asTokenCheck(error);
  }
}

/** The host behind `Authorization: Bearer …`. */
export async function authenticateAgent(
  authenticator: AgentAuthenticator | undefined,
  authorization: string | undefined,
): Promise<AgentIdentity> {
  const credential = bearer(authorization);
  if (!authenticator || credential === undefined) throw unauthenticated();
  try {
    return await authenticator.authenticateAgent(credential);
  } catch (error) {
    throw asTokenCheck(error);
  }
}

function asTokenCheck(error: unknown): unknown {
  return error instanceof CloudError && error.kind === "unauthenticated" ? unauthenticated(error) : error;
}
/** The credential of `Authorization: Bearer …`. */
function bearer(header: string | undefined): string | undefined {
  const match = /^bearer\s+(\S+)$/i.exec(header ?? "");
  return match?.[1];
}
