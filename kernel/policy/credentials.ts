/** Who asks: what the policy may read of a verified token. */
export interface Credentials {
  readonly userId: string;
  /** Set for project-scoped tokens only. */
  readonly projectId: string | null;
  /** Set for domain-scoped tokens only. */
  readonly domainId: string | null;
  readonly systemScope: "all" | null;
  /** Role names with the implied ones already added. */
  readonly roles: readonly string[];
  /** Absent means true, as in deployments that name no admin project. */
  readonly isAdminProject?: boolean;
  readonly userDomainId?: string;
  readonly projectDomainId?: string | null;
  /** Roles of the service that forwards the request (`X-Service-Token`). */
  readonly serviceRoles?: readonly string[];
  /** Anything else that rules may name, dotted (`token.project.domain.id`). */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** What is asked about, by the names rules use: `{ project_id, user_id, target: { user: { id } } }`; dotted keys work too. */
export type PolicyTarget = Readonly<Record<string, unknown>>;

export type ScopeType = "project" | "domain" | "system";

/** As in oslo.policy, an unscoped token counts as project-scoped. */
export function scopeOf(credentials: Credentials): ScopeType {
  if (credentials.systemScope !== null) return "system";
  return credentials.domainId !== null ? "domain" : "project";
}
