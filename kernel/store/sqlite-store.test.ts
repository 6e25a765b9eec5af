import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SqliteStore } from "./sqlite-store.ts";

test("nobody else reads the database, in whatever folder it lies", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "store-"));
  t.after(() => rm(folder, { recursive: true }));
  const modes = async () => {
    const files = await readdir(folder);
    return await Promise.all(
      files.map(async (name) => [name, ((await stat(join(folder, name))).mode & 0o777).toString(8)]),
    );
  };
  const file = join(folder, "a.db");
  for (const round of ["made", "found open to others"]) {
    const store = new SqliteStore({ file, durable: false });
    await store.tx(async () => {});
    assert.deepEqual(
      (await modes()).toSorted(),
      [
        ["a.db", "600"],
        ["a.db-shm", "600"],
        ["a.db-wal", "600"],
      ],
      round,
    );
    await store.close();
    for (const name of await readdir(folder)) await chmod(join(folder, name), 0o644);
  }
});
