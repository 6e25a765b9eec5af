import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import type { AgentAuthenticator, AgentIdentity } from "../http/request.ts";
import type { IdSource } from "../ids/ids.ts";
import type { Store } from "../store/store.ts";
import type { FleetTables } from "./tables.ts";

const TOKEN_LIFE_MS = 3_600_000;
/** A host may join again at another process of the server: what is remembered here is looked up again after a while. */
const REMEMBER_MS = 30_000;

/** How hosts become members: a one-time token buys a credential, of which only a hash is kept. */
export class Membership implements AgentAuthenticator {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ids: IdSource;
  /** Hash by host id, so that a poll costs no query. */
  readonly #verified = new Map<string, { hash: string; host: string; until: number }>();

  constructor(store: Store, clock: Clock, ids: IdSource) {
    this.#store = store;
    this.#clock = clock;
    this.#ids = ids;
  }

  /** A token for one host, or for any when `host` is null; valid once, for an hour. */
  async createToken(host: string | null): Promise<string> {
    const token = this.#ids.secret(32);
    const now = this.#clock.now();
    await this.#store.tx((t) =>
      t
        .tables<FleetTables>()
        .insertInto("join_tokens")
        .values({ token_hash: hashOf(token), host, expires_at: now + TOKEN_LIFE_MS, created_at: now })
        .execute(),
    );
    return token;
  }

  /** Throws `fleet.bad_join_token`. A host that joins again gets a new credential; the old one is void. */
  async join(token: string, host: string): Promise<{ hostId: string; credential: string }> {
    const secret = this.#ids.secret(32);
    const now = this.#clock.now();
    const hostId = await this.#store.tx(async (t) => {
      const db = t.tables<FleetTables>();
      const spent = await db
        .deleteFrom("join_tokens")
        .where("token_hash", "=", hashOf(token))
        .returningAll()
        .executeTakeFirst();
      if (!spent || spent.expires_at < now || (spent.host !== null && spent.host !== host)) throw badToken();
      const known = await db.selectFrom("hosts").select("id").where("name", "=", host).executeTakeFirst();
      const id = known?.id ?? this.#ids.uuid();
      const fresh = { credential_hash: hashOf(secret), boot_id: null };
      if (known) await db.updateTable("hosts").set(fresh).where("id", "=", id).execute();
      else
        await db
          .insertInto("hosts")
          .values({ id, name: host, ...fresh, last_seen: null, created_at: now })
          .execute();
      return id;
    });
    this.#verified.delete(hostId);
    return { hostId, credential: `${hostId}.${secret}` };
  }

  async authenticateAgent(credential: string): Promise<AgentIdentity> {
    const cut = credential.indexOf(".");
    const hostId = credential.slice(0, Math.max(0, cut));
    const offered = hashOf(credential.slice(cut + 1));
    const cached = this.#verified.get(hostId);
    const now = this.#clock.now();
    if (cached && cached.until > now && sameText(cached.hash, offered)) return { hostId, host: cached.host };
    const row = await this.#store.read
      .tables<FleetTables>()
      .selectFrom("hosts")
      .select(["name", "credential_hash"])
      .where("id", "=", hostId)
      .executeTakeFirst();
    if (!row || !sameText(row.credential_hash, offered)) {
      throw new CloudError(
        "unauthenticated",
        "fleet.bad_credential",
        "The agent's credential is not valid; let the host join again.",
      );
    }
    this.#verified.set(hostId, { hash: offered, host: row.name, until: now + REMEMBER_MS });
    return { hostId, host: row.name };
  }
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function badToken(): CloudError {
  return new CloudError(
    "unauthenticated",
    "fleet.bad_join_token",
    "The join token is unknown, spent, expired or meant for another host.",
  );
}
