import type { Queries } from "../../../kernel/store/store.ts";
import { invalid, notFound, unauthorized } from "../errors.ts";
import { findCredential, findCredentialByName, hasAccessRules } from "../store/application-credentials.ts";
import type { ApplicationCredentialRow, UserRow } from "../store/tables.ts";
import { findUser, findUserByName } from "../store/users.ts";
import type { TokenClaims } from "../tokens/claims.ts";
import type { TokenService } from "../tokens/token-service.ts";
import { type AuthBody, type Method, readNamed, type UserReference } from "./auth-request.ts";
import { verifyPassword } from "./password-hash.ts";
import { referredDomain } from "./scope.ts";

/** What a method has shown. */
export interface Proof {
  readonly userId: string;
  /** Of the application credential that was used. */
  readonly credential: { readonly row: ApplicationCredentialRow; readonly hasAccessRules: boolean } | null;
  /** The token that was shown. */
  readonly source: TokenClaims | null;
}

export interface LoginServices {
  readonly queries: Queries;
  readonly tokens: TokenService;
  /** Epoch milliseconds. */
  readonly now: number;
}

type Identity = AuthBody["auth"]["identity"];

/** Throws 401, or what §3.2 of the contract names for a method. */
export async function prove(method: Method, identity: Identity, services: LoginServices): Promise<Proof> {
  const { password, token, application_credential } = identity;
  if (method === "password" && password) return await byPassword(password.user, services);
  if (method === "token" && token) return await byToken(token.id, services);
  if (method === "application_credential" && application_credential) {
    return await byApplicationCredential(application_credential, services);
  }
  throw invalid(`Expecting to find ${method} in identity.`);
}

async function byPassword(given: UserReference & { password: string }, services: LoginServices): Promise<Proof> {
  const user = await referredUser(given, services.queries);
  const matches = await verifyPassword(given.password, user?.password_hash ?? null);
  if (!user || !matches) throw unauthorized("unknown user or wrong password");
  const { ignore_password_expiry } = JSON.parse(user.options) as { ignore_password_expiry?: boolean };
  const end = ignore_password_expiry ? null : user.password_expires_at;
  if (end !== null && end <= services.now) throw unauthorized("the password has expired");
  return { userId: user.id, credential: null, source: null };
}

async function byToken(token: string, services: LoginServices): Promise<Proof> {
  const { claims } = await services.tokens.inspectSubject(token);
  const id = claims.applicationCredential?.id;
  const row = id === undefined ? undefined : await findCredential(services.queries, id);
  const credential = row ? await withRules(row, services.queries) : null;
  return { userId: claims.userId, credential, source: claims };
}

async function byApplicationCredential(
  given: NonNullable<Identity["application_credential"]>,
  services: LoginServices,
): Promise<Proof> {
  const row = await referredCredential(given, services.queries);
  const matches = await verifyPassword(given.secret, row?.secret_hash ?? null);
  if (!row || !matches) throw unauthorized("unknown application credential or wrong secret");
  if (row.expires_at !== null && row.expires_at <= services.now) {
    throw unauthorized("the application credential has expired");
  }
  return { userId: row.user_id, credential: await withRules(row, services.queries), source: null };
}

async function referredCredential(
  given: NonNullable<Identity["application_credential"]>,
  queries: Queries,
): Promise<ApplicationCredentialRow | undefined> {
  if (given.id !== undefined) {
    const row = await findCredential(queries, given.id);
    if (!row) throw notFound("application credential", given.id);
    return row;
  }
  if (given.name === undefined || given.user === undefined) {
    throw invalid("An application credential is named by id, or by name and user.");
  }
  const user = await referredUser(given.user, queries);
  return user && (await findCredentialByName(queries, user.id, given.name));
}

async function withRules(row: ApplicationCredentialRow, queries: Queries) {
  return { row, hasAccessRules: await hasAccessRules(queries, row.id) };
}

async function referredUser(given: UserReference, queries: Queries): Promise<UserRow | undefined> {
  const reference = readNamed(given, "user");
  if ("id" in reference) return await findUser(queries, reference.id);
  const domain = await referredDomain(queries, reference.domain);
  return domain && (await findUserByName(queries, domain.id, reference.name));
}
