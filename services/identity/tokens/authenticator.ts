import { hash } from "node:crypto";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { Authenticator, TokenUse } from "../../../kernel/http/request.ts";
import type { Credentials } from "../../../kernel/policy/credentials.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { type AccessRule, allowsRequest } from "../domain/access-rules.ts";
import { unauthorized } from "../errors.ts";
import { accessRulesOfCredential } from "../store/application-credentials.ts";
import { effectiveRoles } from "../store/effective-roles.ts";
import type { TokenClaims } from "./claims.ts";
import type { Revocations } from "./revocations.ts";
import type { TokenService } from "./token-service.ts";

interface Entry {
  readonly claims: TokenClaims;
  readonly credentials: Credentials;
  /** Revocations up to this number are known not to concern it. */
  version: number;
  /** Number of the last event when the roles were read. */
  readonly rolesSerial: number;
  /** The only requests that the token is good for; null: any. */
  readonly accessRules: readonly AccessRule[] | null;
}

const MAX_ENTRIES = 20_000;

/**
 * Turns tokens into credentials. A token that was seen before costs a hash and a few comparisons; the first time one
 * signature check; the database is read only when roles may have changed since.
 */
export class TokenAuthenticator implements Authenticator {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #tokens: TokenService;
  readonly #revocations: Revocations;
  readonly #typesByRoot: ReadonlyMap<string, readonly string[]>;
  /** By the hash of the token: the token itself is not kept. */
  readonly #entries = new Map<string, Entry>();

  /** `typesByRoot`: the catalog types of the service under each first part of a path (`compute`). */
  constructor(
    kernel: { store: Store; clock: Clock },
    tokens: TokenService,
    revocations: Revocations,
    typesByRoot: ReadonlyMap<string, readonly string[]>,
  ) {
    this.#store = kernel.store;
    this.#clock = kernel.clock;
    this.#tokens = tokens;
    this.#revocations = revocations;
    this.#typesByRoot = typesByRoot;
  }

  async authenticate(token: string, use: TokenUse): Promise<Credentials> {
    const key = hash("sha256", token, "base64url");
    let entry = this.#entries.get(key);
    if (!entry || !this.#isFresh(entry)) {
      this.#entries.delete(key);
      entry = await this.#verify(token);
      this.#remember(key, entry);
    }
    if (entry.accessRules) this.#checkAccess(entry.accessRules, use);
    return entry.credentials;
  }

  #checkAccess(rules: readonly AccessRule[], { method, path }: TokenUse): void {
    const [, root = ""] = path.split("/", 2);
    const serviceTypes = this.#typesByRoot.get(root) ?? [];
    if (allowsRequest(rules, { method, path: path.slice(root.length + 1), serviceTypes })) return;
    throw unauthorized("no access rule of the application credential allows the request");
  }

  #isFresh(entry: Entry): boolean {
    if (entry.claims.expiresAt <= this.#clock.now()) return false;
    const { version } = this.#revocations;
    if (entry.version === version) return true;
    if (this.#revocations.isRevoked(entry.claims)) return false;
    if (this.#revocations.rolesAreStale(entry.claims.userId, entry.rolesSerial)) return false;
    entry.version = version;
    return true;
  }

  async #verify(token: string): Promise<Entry> {
    const claims = await this.#tokens.verify(token);
    if (!claims) throw unauthorized("the token is expired, revoked or not ours");
    const { version } = this.#revocations;
    const stale = claims.roles === null || this.#revocations.rolesAreStale(claims.userId, claims.serial);
    const roles = stale ? await this.#readRoles(claims) : (claims.roles ?? []);
    if (roles.length === 0 && claims.scope.kind !== "unscoped") throw unauthorized("the token has no roles left");
    return {
      claims,
      credentials: credentialsOf(claims, roles),
      version,
      rolesSerial: stale ? version : claims.serial,
      accessRules: await this.#accessRules(claims),
    };
  }

  async #readRoles(claims: TokenClaims): Promise<string[]> {
    return (await effectiveRoles(this.#store.read, claims)).map((role) => role.name);
  }

  async #accessRules({ applicationCredential }: TokenClaims): Promise<readonly AccessRule[] | null> {
    if (!applicationCredential?.hasAccessRules) return null;
    return await accessRulesOfCredential(this.#store.read, applicationCredential.id);
  }

  #remember(key: string, entry: Entry): void {
    if (this.#entries.size >= MAX_ENTRIES) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, entry);
  }
}

function credentialsOf(claims: TokenClaims, roles: readonly string[]): Credentials {
  const { scope, applicationCredential } = claims;
  return {
    userId: claims.userId,
    userDomainId: claims.userDomainId,
    projectId: scope.kind === "project" ? scope.projectId : null,
    projectDomainId: scope.kind === "project" ? scope.domainId : null,
    domainId: scope.kind === "domain" ? scope.domainId : null,
    systemScope: scope.kind === "system" ? "all" : null,
    roles,
    ...(applicationCredential ? { attributes: { application_credential: applicationCredential } } : {}),
  };
}
