import { minutes } from "../../kernel/clock/clock.ts";
import type { ImageContext } from "./settings.ts";
import type { ImageTables } from "./store/tables.ts";
import { reclaimStalledUploads } from "./uploads.ts";

/** Younger files may belong to a request that has not reached the database yet. */
const MIN_AGE_MS = minutes(10);

/** Ends uploads that died with their process, and removes data that no image and no upload owns any more. Repeatable. */
export async function sweepImages(context: ImageContext): Promise<void> {
  await reclaimStalledUploads(context);
  const before = context.clock.now() - MIN_AGE_MS;
  const old = (await context.files.list()).filter((file) => file.modifiedAt < before);
  if (old.length === 0) return;
  const known = await knownIds(context);
  for (const { kind, id } of old) {
    if (known[kind].has(id)) continue;
    await (kind === "image" ? context.files.remove(id) : context.files.discard(id));
  }
}

async function knownIds(context: ImageContext) {
  const rows = await context.store.read
    .tables<ImageTables>()
    .selectFrom("images")
    .select(["id", "upload_id"])
    .execute();
  return {
    image: new Set(rows.map((row) => row.id)),
    upload: new Set(rows.flatMap((row) => row.upload_id ?? [])),
  };
}
