import { createHash } from "node:crypto";
import { type Clock, minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeTables } from "../store/tables.ts";

/** OpenStack's default. */
const LIFETIME_MS = minutes(10);

/** A secret that opens the console of one server for a while. Only its hash is stored. */
export async function issueConsoleToken(
  t: Tx,
  tools: { clock: Clock; ids: IdSource },
  console: { serverId: string; type: string },
): Promise<string> {
  const token = tools.ids.secret();
  const db = t.tables<ComputeTables>();
  const now = tools.clock.now();
  await db.deleteFrom("console_tokens").where("expires_at", "<", now).execute();
  await db
    .insertInto("console_tokens")
    .values({
      token_hash: hashOf(token),
      server_id: console.serverId,
      type: console.type,
      expires_at: now + LIFETIME_MS,
    })
    .execute();
  return token;
}

/** The server whose console the token opens. Throws `unauthenticated`. */
export async function serverOfToken(q: Queries, clock: Clock, token: string): Promise<string> {
  const row = await q
    .tables<ComputeTables>()
    .selectFrom("console_tokens")
    .select("server_id")
    .where("token_hash", "=", hashOf(token))
    .where("expires_at", ">=", clock.now())
    .executeTakeFirst();
  if (row) return row.server_id;
  throw new CloudError("unauthenticated", "compute.console_token", "The console token is not valid.");
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
