import type { Clock } from "../../../kernel/clock/clock.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries, Store, Tx } from "../../../kernel/store/store.ts";
import type { IdentityTables } from "../store/tables.ts";
import type { TokenClaims } from "./claims.ts";

export const REVOCATIONS_CHANNEL = "identity.revocations";

/**
 * What happened: `token` by its audit id; everything of a `user`, `project`, `domain` (as scope or as home) or
 * `credential`. `roles` (of a user, or of `EVERYONE`) invalidates nothing: the roles must be read again.
 */
export type RevocationKind = "token" | "user" | "project" | "domain" | "credential" | "roles";

export const EVERYONE = "*";

export interface Revocation {
  readonly kind: RevocationKind;
  readonly subject: string;
}

/**
 * Everything that makes tokens invalid before their end, in memory and fresh: `refresh` reads what was committed since.
 * Events are numbered in the order of their commits, and a token carries the last number that was committed when its
 * facts were read. So a token is revoked by exactly the events with a higher number, whatever the clocks of the servers say.
 */
export class Revocations {
  readonly #store: Store;
  readonly #clock: Clock;
  /** How long a token can be shown at all: its life and the window of `allow_expired`. */
  readonly #keepMs: number;
  readonly #serials = new Map<string, { serial: number; expiresAt: number }>();
  #last = -1;
  #refreshing: Promise<void> | undefined;
  #again: Promise<void> | undefined;

  constructor(kernel: { readonly store: Store; readonly clock: Clock }, keepMs: number) {
    this.#store = kernel.store;
    this.#clock = kernel.clock;
    this.#keepMs = keepMs;
    // A failed read is made up for by the next one; the reconciler reads every few seconds.
    this.#store.listen(REVOCATIONS_CHANNEL, () => void this.refresh().catch(() => undefined));
  }

  /** Grows whenever something was revoked; −1 before the first read. */
  get version(): number {
    return this.#last;
  }

  /** Reads from the database once, before the first check. */
  async ready(): Promise<void> {
    if (this.#last < 0) await this.refresh();
  }

  /** Reads what was committed before this call. */
  refresh(): Promise<void> {
    if (!this.#refreshing) {
      this.#refreshing = this.#load().finally(() => {
        this.#refreshing = undefined;
      });
      return this.#refreshing;
    }
    // The read that is under way may have begun too early for this caller.
    this.#again ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#again = undefined;
        return this.refresh();
      });
    return this.#again;
  }

  /** Records events within the transaction that causes them. */
  async add(t: Tx, events: readonly Revocation[]): Promise<void> {
    for (const { kind, subject } of events) {
      // The counter's row lock is held until the commit: numbers are in the order of commits.
      const serial = await nextNumber(t, "identity.revocations");
      const row = { serial, kind, subject, expires_at: this.#clock.now() + this.#keepMs };
      await t.tables<IdentityTables>().insertInto("identity_revocations").values(row).execute();
    }
    if (events.length > 0) t.notify(REVOCATIONS_CHANNEL, "");
  }

  /** The number of the last committed event; to be read before the facts that go into a token. */
  async currentSerial(queries: Queries): Promise<number> {
    const row = await queries
      .tables<IdentityTables>()
      .selectFrom("identity_revocations")
      .select((eb) => eb.fn.max("serial").as("serial"))
      .executeTakeFirst();
    return row?.serial ?? 0;
  }

  isRevoked(claims: TokenClaims): boolean {
    const { scope, serial } = claims;
    const ownAuditId = claims.auditIds[0];
    return (
      this.#since("user", claims.userId) > serial ||
      this.#since("domain", claims.userDomainId) > serial ||
      (ownAuditId !== undefined && this.#serials.has(`token:${ownAuditId}`)) ||
      (scope.kind === "project" && this.#since("project", scope.projectId) > serial) ||
      ((scope.kind === "project" || scope.kind === "domain") && this.#since("domain", scope.domainId) > serial) ||
      (claims.applicationCredential !== null && this.#since("credential", claims.applicationCredential.id) > serial)
    );
  }

  /** True when the roles that a token carries may be outdated. `serial`: as of when they were read. */
  rolesAreStale(userId: string, serial: number): boolean {
    return this.#since("roles", userId) > serial || this.#since("roles", EVERYONE) > serial;
  }

  /** Deletes events that concern no living token. The last one stays: it holds the current number. */
  async purge(): Promise<void> {
    const now = this.#clock.now();
    await this.#store.tx(async (t) => {
      const last = await this.currentSerial(t);
      const db = t.tables<IdentityTables>();
      await db.deleteFrom("identity_revocations").where("expires_at", "<", now).where("serial", "<", last).execute();
    });
    for (const [key, { expiresAt }] of this.#serials) if (expiresAt < now) this.#serials.delete(key);
  }

  #since(kind: RevocationKind, subject: string): number {
    return this.#serials.get(`${kind}:${subject}`)?.serial ?? 0;
  }

  async #load(): Promise<void> {
    const rows = await this.#store.read
      .tables<IdentityTables>()
      .selectFrom("identity_revocations")
      .selectAll()
      .where("serial", ">", this.#last)
      .orderBy("serial")
      .execute();
    for (const { kind, subject, serial, expires_at } of rows) {
      this.#serials.set(`${kind}:${subject}`, { serial, expiresAt: expires_at });
    }
    this.#last = Math.max(this.#last, rows.at(-1)?.serial ?? 0);
  }
}
