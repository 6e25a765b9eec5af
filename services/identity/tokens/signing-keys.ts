import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { Queries, Store } from "../../../kernel/store/store.ts";
import type { IdentityTables } from "../store/tables.ts";

export const KEYS_CHANNEL = "identity.keys";
const ALGORITHM = "HS256";
/** A stranger's token with an unknown key must not cost a query each time. */
const RELOAD_PAUSE_MS = 1000;

interface Keys {
  readonly byKid: ReadonlyMap<string, Uint8Array>;
  readonly newest: { readonly kid: string; readonly secret: Uint8Array };
}

/** Signs with the newest key and verifies with any that is still stored. The keys live in the database only. */
export class SigningKeys {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ids: IdSource;
  #keys: Promise<Keys> | undefined;
  #loadedAt = 0;

  constructor(kernel: { readonly store: Store; readonly clock: Clock; readonly ids: IdSource }) {
    this.#store = kernel.store;
    this.#clock = kernel.clock;
    this.#ids = kernel.ids;
    this.#store.listen(KEYS_CHANNEL, () => this.forget());
  }

  async sign(payload: Uint8Array): Promise<string> {
    const { newest } = await this.#current();
    return await new CompactSign(payload).setProtectedHeader({ alg: ALGORITHM, kid: newest.kid }).sign(newest.secret);
  }

  /** The signed payload, or null when we did not sign it. */
  async verify(token: string): Promise<Uint8Array | null> {
    const secret = await this.#secretOf(token);
    if (!secret) return null;
    try {
      return (await compactVerify(token, secret, { algorithms: [ALGORITHM] })).payload;
    } catch {
      return null;
    }
  }

  /** Signs with a fresh key from now on. Older tokens stay valid until `forgetKeysBefore` drops their key. */
  async rotate(): Promise<void> {
    await this.#store.tx(async (t) => {
      await t.tables<IdentityTables>().insertInto("identity_signing_keys").values(this.#newKey()).execute();
      t.notify(KEYS_CHANNEL, "");
    });
    this.forget();
  }

  /** Drops keys that were replaced before `timeMs` (epoch milliseconds); the newest always stays. */
  async forgetKeysBefore(timeMs: number): Promise<void> {
    await this.#store.tx(async (t) => {
      const db = t.tables<IdentityTables>();
      const rows = await readKeys(t);
      const superseded = rows.slice(1).filter((_, index) => (rows[index]?.created_at ?? timeMs) < timeMs);
      if (superseded.length === 0) return;
      const kids = superseded.map((row) => row.kid);
      await db.deleteFrom("identity_signing_keys").where("kid", "in", kids).execute();
      t.notify(KEYS_CHANNEL, "");
    });
  }

  /** The next use reads the keys again. */
  forget(): void {
    this.#keys = undefined;
  }

  async #secretOf(token: string): Promise<Uint8Array | undefined> {
    const kid = kidOf(token);
    if (kid === undefined) return undefined;
    const known = (await this.#current()).byKid.get(kid);
    if (known || this.#clock.now() - this.#loadedAt < RELOAD_PAUSE_MS) return known;
    this.forget();
    return (await this.#current()).byKid.get(kid);
  }

  #current(): Promise<Keys> {
    if (!this.#keys) {
      const loading = this.#load();
      this.#keys = loading;
      loading.catch(() => {
        if (this.#keys === loading) this.#keys = undefined;
      });
    }
    return this.#keys;
  }

  async #load(): Promise<Keys> {
    this.#loadedAt = this.#clock.now();
    const read = await readKeys(this.#store.read);
    const rows = read.length > 0 ? read : await this.#createFirst();
    const keys = rows.map(({ kid, secret }) => ({ kid, secret: Buffer.from(secret, "base64url") }));
    const newest = keys[0];
    if (!newest) throw new Error("there is no signing key");
    return { byKid: new Map(keys.map(({ kid, secret }) => [kid, secret])), newest };
  }

  /** Two processes that start together may both make one: either verifies the other's. */
  #createFirst() {
    return this.#store.tx(async (t) => {
      await t.tables<IdentityTables>().insertInto("identity_signing_keys").values(this.#newKey()).execute();
      t.notify(KEYS_CHANNEL, "");
      return await readKeys(t);
    });
  }

  #newKey() {
    return { kid: this.#ids.hex().slice(0, 8), secret: this.#ids.secret(32), created_at: this.#clock.now() };
  }
}

/** Newest first. */
function readKeys(queries: Queries) {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_signing_keys")
    .selectAll()
    .orderBy("created_at", "desc")
    .orderBy("kid")
    .execute();
}

function kidOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).kid;
  } catch {
    return undefined;
  }
}
