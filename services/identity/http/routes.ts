import type { Route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { accessRuleRoutes } from "./access-rules.ts";
import { applicationCredentialRoutes } from "./application-credentials.ts";
import { authHelperRoutes } from "./auth-helpers.ts";
import { authTokenRoutes } from "./auth-tokens.ts";
import { domainRoutes } from "./domains.ts";
import { endpointRoutes } from "./endpoints.ts";
import { grantRoutes } from "./grants.ts";
import { groupRoutes } from "./groups.ts";
import { impliedRoleRoutes } from "./implied-roles.ts";
import { membershipRoutes } from "./memberships.ts";
import { projectTagRoutes } from "./project-tags.ts";
import { projectRoutes } from "./projects.ts";
import { regionRoutes } from "./regions.ts";
import { roleAssignmentRoutes } from "./role-assignments.ts";
import { roleRoutes } from "./roles.ts";
import { serviceRoutes } from "./services.ts";
import { systemGrantRoutes } from "./system-grants.ts";
import { userRoutes } from "./users.ts";
import { versionRoutes } from "./versions.ts";

const FAMILIES = [
  authTokenRoutes,
  authHelperRoutes,
  projectRoutes,
  projectTagRoutes,
  domainRoutes,
  userRoutes,
  groupRoutes,
  membershipRoutes,
  roleRoutes,
  impliedRoleRoutes,
  grantRoutes,
  systemGrantRoutes,
  roleAssignmentRoutes,
  serviceRoutes,
  endpointRoutes,
  regionRoutes,
  applicationCredentialRoutes,
  accessRuleRoutes,
] as const;

/** Every route of the service. */
export function identityRoutes(identity: IdentityContext): Route[] {
  return [...versionRoutes, ...FAMILIES.flatMap((routes) => routes(identity))];
}
