/** What a token says, before anything is looked up. Names of claims on the wire are short: tokens ride in headers. */
export interface TokenClaims {
  readonly userId: string;
  readonly userDomainId: string;
  /** Epoch milliseconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly methods: readonly string[];
  /** The token's own id, then the id of the first of its chain when it was made from another. */
  readonly auditIds: readonly string[];
  /** The last revocation that was committed before the token's facts were read. */
  readonly serial: number;
  readonly scope: TokenScope;
  /** Names with the implied ones. Null: too many to carry, read them from the database. */
  readonly roles: readonly string[] | null;
  readonly applicationCredential: ApplicationCredentialClaim | null;
}

export type TokenScope =
  | { readonly kind: "unscoped" }
  | { readonly kind: "system" }
  | { readonly kind: "domain"; readonly domainId: string }
  | { readonly kind: "project"; readonly projectId: string; readonly domainId: string };

export interface ApplicationCredentialClaim {
  readonly id: string;
  /** May not make or delete application credentials. */
  readonly restricted: boolean;
  /** May only be used for the requests of the credential's access rules. */
  readonly hasAccessRules: boolean;
}

interface WireClaims {
  u: string;
  ud: string;
  iat: number;
  exp: number;
  m: readonly string[];
  a: readonly string[];
  s: number;
  r?: readonly string[];
  p?: string;
  d?: string;
  sys?: true;
  c?: string;
  cr?: true;
  ca?: true;
}

/** Roles beyond this many characters stay in the database, to keep tokens below 1 KiB. */
const MAX_ROLE_TEXT = 240;

export function encodeClaims(claims: TokenClaims): Uint8Array {
  const { scope, applicationCredential, roles } = claims;
  const wire: WireClaims = {
    u: claims.userId,
    ud: claims.userDomainId,
    iat: claims.issuedAt / 1000,
    exp: claims.expiresAt / 1000,
    m: claims.methods,
    a: claims.auditIds,
    s: claims.serial,
  };
  if (roles && roles.join().length <= MAX_ROLE_TEXT) wire.r = roles;
  if (scope.kind === "project") wire.p = scope.projectId;
  if (scope.kind === "project" || scope.kind === "domain") wire.d = scope.domainId;
  if (scope.kind === "system") wire.sys = true;
  if (applicationCredential) {
    wire.c = applicationCredential.id;
    if (applicationCredential.restricted) wire.cr = true;
    if (applicationCredential.hasAccessRules) wire.ca = true;
  }
  return new TextEncoder().encode(JSON.stringify(wire));
}

/** Only for payloads whose signature was verified: nobody but us wrote them. */
export function decodeClaims(payload: Uint8Array): TokenClaims {
  const wire = JSON.parse(new TextDecoder().decode(payload)) as WireClaims;
  return {
    userId: wire.u,
    userDomainId: wire.ud,
    issuedAt: Math.round(wire.iat * 1000),
    expiresAt: Math.round(wire.exp * 1000),
    methods: wire.m,
    auditIds: wire.a,
    serial: wire.s,
    scope: scopeOf(wire),
    roles: wire.r ?? null,
    applicationCredential:
      wire.c === undefined ? null : { id: wire.c, restricted: wire.cr === true, hasAccessRules: wire.ca === true },
  };
}

function scopeOf(wire: WireClaims): TokenScope {
  if (wire.sys) return { kind: "system" };
  if (wire.p !== undefined) return { kind: "project", projectId: wire.p, domainId: wire.d ?? "" };
  return wire.d === undefined ? { kind: "unscoped" } : { kind: "domain", domainId: wire.d };
}
