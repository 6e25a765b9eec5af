import { CloudError } from "../../kernel/errors/cloud-error.ts";

/** The one answer to every failed login, so that nobody learns whether the user or the password was wrong. */
export const unauthorized = (internal?: string): CloudError =>
  new CloudError("unauthenticated", "identity.unauthorized", "The request you have made requires authentication.", {
    ...(internal === undefined ? {} : { internal }),
  });

export const notFound = (what: string, id: string): CloudError =>
  new CloudError("notFound", "identity.notFound", `Could not find ${what}: ${id.slice(0, 255)}.`);

export const invalid = (message: string): CloudError => new CloudError("invalid", "identity.invalid", message);

export const conflict = (message: string): CloudError => new CloudError("conflict", "identity.conflict", message);

/** Forbidden by a rule of the domain, not by policy. */
export const refused = (message: string): CloudError => new CloudError("forbidden", "identity.refused", message);

/** A write that broke a unique index. */
export function isDuplicate(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("errcode" in error) return error.errcode === SQLITE_UNIQUE || error.errcode === SQLITE_PRIMARY_KEY;
  return "code" in error && error.code === POSTGRES_UNIQUE;
}

const SQLITE_UNIQUE = 2067;
const SQLITE_PRIMARY_KEY = 1555;
const POSTGRES_UNIQUE = "23505";
