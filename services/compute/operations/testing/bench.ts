import assert from "node:assert/strict";
import { sql } from "kysely";
import type { OperationTables } from "../../../../kernel/operations/tables.ts";
import { worldTools } from "../../../../kernel/operations/testing/world-tools.ts";
import type { Migration } from "../../../../kernel/store/migrate.ts";
import type { TestStore } from "../../../../kernel/store/testing/stores.ts";
import type { ComputeSettings } from "../../settings.ts";
import type { ComputeTables, MigrationRow, ServerRow } from "../../store/tables.ts";
import { OperationHarness, operationWorldMigrations } from "./operation-harness.ts";
import { OperationWorld } from "./operation-world.ts";

type Open = (migrations: readonly Migration[]) => Promise<TestStore>;

/** A world of its own for one test, with eyes on what changes in it. */
export class Bench {
  readonly world: OperationWorld;
  readonly #test: TestStore;

  private constructor(world: OperationWorld, test: TestStore) {
    this.world = world;
    this.#test = test;
  }

  /** `skewMs`: how far the hosts' clocks are ahead of the server's. */
  static async open(open: Open, settings: Partial<ComputeSettings> = {}, skewMs = 0): Promise<Bench> {
    const test = await open(operationWorldMigrations);
    const world = await OperationWorld.open(new OperationHarness(settings), worldTools(test.store), undefined, skewMs);
    await test.store.tx(async (t) => {
      for (const statement of LOG[test.store.dialect]) await sql.raw(statement).execute(t.tables<Log>());
    });
    return new Bench(world, test);
  }

  get operations() {
    return this.world.harness.operations;
  }

  /** What users could have seen since the last look: migration statuses, and servers as `vm/task@host`. */
  async seen(): Promise<string[]> {
    return await this.#test.store.tx(async (t) => {
      const rows = await t.tables<Log>().selectFrom("seen").selectAll().orderBy("place").execute();
      await t.tables<Log>().deleteFrom("seen").execute();
      const last = { server: "", migration: "" };
      return rows.flatMap(({ entry }) => {
        const kind = entry.includes("@") ? "server" : "migration";
        if (entry === last[kind]) return [];
        last[kind] = entry;
        return [entry];
      });
    });
  }

  async server(id: string): Promise<ServerRow> {
    return await this.#db.selectFrom("servers").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  }

  async migrations(serverId: string): Promise<MigrationRow[]> {
    return await this.#db
      .selectFrom("migrations")
      .selectAll()
      .where("server_id", "=", serverId)
      .orderBy("number")
      .execute();
  }

  /** Hosts on which room is held for the server. */
  async allocated(serverId: string): Promise<string[]> {
    const rows = await this.#db.selectFrom("allocations").select("host").where("server_id", "=", serverId).execute();
    return rows.map((row) => row.host).toSorted();
  }

  /** Messages of the server's instance actions by name; null is success. */
  async actions(serverId: string): Promise<[string, string | null][]> {
    const rows = await this.#db
      .selectFrom("instance_actions")
      .selectAll()
      .where("server_id", "=", serverId)
      .orderBy("started_at")
      .execute();
    return rows.map((row) => [row.action, row.message]);
  }

  /** Events of an operation, in order. */
  async events(operationId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("operation_steps")
      .select("event")
      .where("operation_id", "=", operationId)
      .where("state", "!=", "skipped")
      .orderBy("run")
      .orderBy("position")
      .execute();
    return rows.flatMap((row) => row.event ?? []);
  }

  async expectFault(operationId: string, code: string): Promise<void> {
    const { state, fault } = await this.world.operation(operationId);
    assert.equal(state, "undone");
    assert.equal((JSON.parse(fault ?? "{}") as { code?: string }).code, code);
  }

  async close(): Promise<void> {
    await this.world.close();
    assert.equal(this.world.tools.clock.pendingTimers, 0, "timers are left");
    await this.#test.dispose();
  }

  get #db() {
    return this.#test.store.read.tables<ComputeTables & OperationTables>();
  }
}

interface Log {
  seen: { place: number; entry: string };
}

const SERVER = "new.vm_state || '/' || coalesce(new.task_state, '-') || '@' || coalesce(new.host, '-')";
const LOG = {
  sqlite: [
    "CREATE TABLE seen (place integer PRIMARY KEY AUTOINCREMENT, entry text NOT NULL)",
    "CREATE TRIGGER m1 AFTER INSERT ON migrations BEGIN INSERT INTO seen (entry) VALUES (new.status); END",
    "CREATE TRIGGER m2 AFTER UPDATE ON migrations BEGIN INSERT INTO seen (entry) VALUES (new.status); END",
    `CREATE TRIGGER s2 AFTER UPDATE OF vm_state, task_state, host ON servers BEGIN INSERT INTO seen (entry) VALUES (${SERVER}); END`,
  ],
  postgres: [
    "CREATE TABLE seen (place bigserial PRIMARY KEY, entry text NOT NULL)",
    "CREATE RULE m1 AS ON INSERT TO migrations DO ALSO INSERT INTO seen (entry) VALUES (new.status)",
    "CREATE RULE m2 AS ON UPDATE TO migrations DO ALSO INSERT INTO seen (entry) VALUES (new.status)",
    `CREATE RULE s2 AS ON UPDATE TO servers DO ALSO INSERT INTO seen (entry) VALUES (${SERVER})`,
  ],
} as const;
