import { type RunningProgram, runProgram } from "../../apps/server/testing/running-program.ts";
import { ADMIN_PASSWORD } from "../../apps/server/testing/test-settings.ts";
import type { LogLevel } from "../../kernel/log/logger.ts";
import type { BlockStorageTables } from "../../services/block-storage/store/tables.ts";
import { volumeRow } from "../../services/block-storage/testing/rows.ts";
import type { ComputeTables } from "../../services/compute/store/tables.ts";
import { migrationRow, serverRow } from "../../services/compute/testing/rows.ts";

export interface BenchCloud {
  readonly program: RunningProgram;
  readonly headers: Readonly<Record<string, string>>;
  /** Ids of rows of servers that no host knows. */
  addServers(count: number, hosts: number): Promise<string[]>;
  /** Rows of volumes that no host knows. */
  addVolumes(count: number): Promise<void>;
}

/** A whole program in this process, and an administrator's token for it. */
export async function benchCloud(options: { hosts: number; logLevel?: LogLevel }): Promise<BenchCloud> {
  const program = await runProgram({ hosts: options.hosts, settings: { logLevel: options.logLevel ?? "error" } });
  const { server } = program;
  const token = await logIn(server.address, server.cloud.adminProjectId);
  return {
    program,
    headers: { "X-Auth-Token": token, "OpenStack-API-Version": "compute 2.96, volume 3.71" },
    addServers: (count, hosts) => addServers(program, count, hosts),
    addVolumes: (count) => addVolumes(program, count),
  };
}

export async function logIn(address: string, projectId: string): Promise<string> {
  const user = { name: "admin", domain: { id: "default" }, password: ADMIN_PASSWORD };
  const reply = await fetch(`${address}/identity/v3/auth/tokens`, {
    method: "POST",
    body: JSON.stringify({
      auth: { identity: { methods: ["password"], password: { user } }, scope: { project: { id: projectId } } },
    }),
  });
  if (reply.status !== 201) throw new Error(`login: ${reply.status}`);
  return reply.headers.get("x-subject-token") ?? "";
}

/** SQLite takes so many parameters in one statement. */
const ROWS_AT_ONCE = 500;

const id = (number: number) => `${number.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;

async function addVolumes({ server }: RunningProgram, count: number): Promise<void> {
  const now = Date.now();
  const base = (number: number) => ({ id: id(number), project_id: server.cloud.adminProjectId, now: now - number });
  const rows = Array.from({ length: count }, (_, number) => volumeRow(base(number)));
  await server.store.tx(
    async (t) => void (await t.tables<BlockStorageTables>().insertInto("volumes").values(rows).execute()),
  );
}

async function addServers({ server }: RunningProgram, count: number, hosts: number): Promise<string[]> {
  const numbers = Array.from({ length: count }, (_, i) => i + 1_000_000);
  const now = Date.now();
  for (let from = 0; from < count; from += ROWS_AT_ONCE) {
    const part = numbers.slice(from, from + ROWS_AT_ONCE);
    await server.store.tx(async (t) => {
      const db = t.tables<ComputeTables>();
      const base = (number: number) => ({
        id: id(number),
        number,
        project_id: server.cloud.adminProjectId,
        now: now - number,
      });
      const rows = part.map((n) => ({ ...serverRow(base(n)), host: `host-${(n % hosts) + 1}` }));
      await db.insertInto("servers").values(rows).execute();
      const moved = part.map((n) => ({
        ...migrationRow({ number: n, uuid: id(n + 100_000_000), now: now - n }),
        server_id: id(n),
      }));
      await db.insertInto("migrations").values(moved).execute();
    });
  }
  return numbers.map(id);
}
