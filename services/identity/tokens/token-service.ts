import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { KernelServices } from "../../../kernel/service/manifest.ts";
import { effectiveRoles, type RoleRef } from "../store/effective-roles.ts";
import { decodeClaims, encodeClaims, type TokenClaims } from "./claims.ts";
import type { Revocations } from "./revocations.ts";
import type { SigningKeys } from "./signing-keys.ts";

/** How long after its end a service may still ask about a token. */
export const ALLOW_EXPIRED_MS = 48 * 3600 * 1000;

export interface VerifiedToken {
  readonly claims: TokenClaims;
  /** As they are now, not as they were when the token was made. */
  readonly roles: readonly RoleRef[];
}

/** Makes tokens and tells whether they are valid. */
export class TokenService {
  readonly #kernel: Pick<KernelServices, "store" | "clock">;
  readonly #keys: SigningKeys;
  readonly #revocations: Revocations;

  constructor(kernel: Pick<KernelServices, "store" | "clock">, keys: SigningKeys, revocations: Revocations) {
    this.#kernel = kernel;
    this.#keys = keys;
    this.#revocations = revocations;
  }

  issue(claims: TokenClaims): Promise<string> {
    return this.#keys.sign(encodeClaims(claims));
  }

  /** The claims of a token that we signed, that has not expired and was not revoked. Null otherwise. Reads no database. */
  async verify(token: string, options: { allowExpired?: boolean } = {}): Promise<TokenClaims | null> {
    const payload = await this.#keys.verify(token);
    if (!payload) return null;
    await this.#revocations.ready();
    const claims = decodeClaims(payload);
    const end = claims.expiresAt + (options.allowExpired ? ALLOW_EXPIRED_MS : 0);
    if (end <= this.#kernel.clock.now() || this.#revocations.isRevoked(claims)) return null;
    return claims;
  }

  /** As `verify`, with the roles read from the database. A scoped token whose roles are gone is not valid. */
  async inspect(token: string, options: { allowExpired?: boolean } = {}): Promise<VerifiedToken | null> {
    const claims = await this.verify(token, options);
    if (!claims) return null;
    const roles = await effectiveRoles(this.#kernel.store.read, claims);
    return roles.length === 0 && claims.scope.kind !== "unscoped" ? null : { claims, roles };
  }

  /** As `inspect`, or 404: what every question about somebody's token answers when it is not valid. */
  async inspectSubject(token: string, options: { allowExpired?: boolean } = {}): Promise<VerifiedToken> {
    const verified = token === "" ? null : await this.inspect(token, options);
    if (verified) return verified;
    throw new CloudError("notFound", "identity.tokenNotFound", "Could not find token.");
  }
}
