import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { ApiResponse } from "../../../kernel/http/response.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { AuthBody, readAuth } from "../login/auth-request.ts";
import type { VerifiedToken } from "../tokens/token-service.ts";
import { queryFlag } from "./list-query.ts";
import { tokenView } from "./token-view.ts";

export function authTokenRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;

  /** The token in `X-Subject-Token`, which the caller must be allowed to ask about. */
  const subject = async (request: ApiRequest, rule: string): Promise<{ token: string; verified: VerifiedToken }> => {
    const token = headerText(request, "x-subject-token");
    const allowExpired = queryFlag(request.rawQuery.allow_expired) ?? false;
    const verified = await identity.tokens.inspectSubject(token, { allowExpired }).catch((error: unknown) => {
      // Whoever may not ask about strangers' tokens shall not learn whether there is such a token.
      if (error instanceof CloudError && error.kind === "notFound") request.authorize(rule, {});
      throw error;
    });
    request.authorize(rule, { target: { token: { user_id: verified.claims.userId } } });
    return { token, verified };
  };

  const show = async (request: ApiRequest, rule: string): Promise<ApiResponse> => {
    const { token, verified } = await subject(request, rule);
    const { applicationCredential } = verified.claims;
    if (applicationCredential?.hasAccessRules && headerText(request, "openstack-identity-access-rules") === "") {
      throw new CloudError("notFound", "identity.tokenNotFound", "Could not find token.");
    }
    const body = { token: await tokenView(store.read, verified, { catalog: wantsCatalog(request) }) };
    return { body, headers: { "X-Subject-Token": token } };
  };

  return [
    route({
      name: "auth.tokens.create",
      method: "POST",
      path: "/auth/tokens",
      auth: "none",
      success: 201,
      body: AuthBody,
      async handler(request) {
        const issued = await identity.logIn(readAuth(request.body));
        const body = { token: await tokenView(store.read, issued, { catalog: wantsCatalog(request) }) };
        return { body, headers: { "X-Subject-Token": issued.token } };
      },
    }),
    route({
      name: "auth.tokens.show",
      method: "GET",
      path: "/auth/tokens",
      policy: "identity:validate_token",
      handler: (request) => show(request, "identity:validate_token"),
    }),
    route({
      name: "auth.tokens.check",
      method: "HEAD",
      path: "/auth/tokens",
      policy: "identity:check_token",
      handler: (request) => show(request, "identity:check_token"),
    }),
    route({
      name: "auth.tokens.delete",
      method: "DELETE",
      path: "/auth/tokens",
      policy: "identity:revoke_token",
      success: 204,
      async handler(request) {
        const { verified } = await subject(request, "identity:revoke_token");
        const [auditId = ""] = verified.claims.auditIds;
        await identity.revoke(async (_, revoked) => void revoked.push({ kind: "token", subject: auditId }));
        return undefined;
      },
    }),
  ];
}

function wantsCatalog(request: ApiRequest): boolean {
  return request.rawQuery.nocatalog === undefined;
}

function headerText(request: ApiRequest, name: string): string {
  const value = request.headers[name];
  return typeof value === "string" ? value : "";
}
