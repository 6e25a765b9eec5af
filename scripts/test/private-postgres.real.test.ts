import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import pg from "pg";
import { Children } from "./child.ts";
import { findLeaks, testNamespaces } from "./leaks.ts";
import { findPostgres, startPostgres } from "./private-postgres.ts";

const binaries = findPostgres(process.env.PATH ?? "");
const skip = binaries ? false : "PostgreSQL is not installed";

test("a private server answers on loopback and its socket, and leaves nothing", { skip }, async () => {
  assert.ok(binaries);
  const folder = mkdtempSync(join(tmpdir(), "plt-pg-"));
  chmodSync(folder, 0o755);
  try {
    const children = new Children();
    const server = await startPostgres({ binaries, folder, children, env: process.env });
    const overSocket = new URL(server.url);
    const sockets = readdirSync(folder).filter((name) => name.startsWith(".s.PGSQL") && !name.endsWith(".lock"));
    assert.deepEqual(sockets, [`.s.PGSQL.${overSocket.port}`]);
    const overLoopback = new URL(server.url);
    overLoopback.search = "";
    for (const [url, address] of [
      [overSocket, null],
      [overLoopback, "127.0.0.1/32"],
    ] as const) {
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      const { rows } = await client.query(
        "select current_setting('fsync') as fsync, inet_server_addr()::text as address",
      );
      assert.deepEqual(rows, [{ fsync: "off", address }]);
      await client.end();
    }
    const wrong = new URL(server.url);
    wrong.password = "guess";
    const stranger = new pg.Client({ connectionString: wrong.href });
    await assert.rejects(stranger.connect(), { code: "28P01" });
    await server.stop();
    assert.deepEqual(await findLeaks({ runFolder: folder, temporary: folder, namespacesBefore: testNamespaces() }), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
