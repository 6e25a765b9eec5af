import { Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { action, actionRoute, type Route, route } from "../../../kernel/http/route.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { GATES, mayAbort, mustBeUnlocked, mustPass } from "../domain/can.ts";
import { findMigrationOf, type LiveMigration, liveMigrationsOf } from "../store/migration-lists.ts";
import type { MigrationRow, ServerRow } from "../store/tables.ts";
import { recordFor } from "./accept.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { hostsOf, withoutHosts } from "./migrations.ts";
import { serverOf, targetOf } from "./server-lookup.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:servers:migrations";

const steps = versionSteps<Json>([
  {
    since: "2.59",
    name: "uuid",
    down(view) {
      delete view.uuid;
    },
  },
  {
    since: "2.80",
    name: "who started it",
    down(view) {
      delete view.user_id;
      delete view.project_id;
    },
  },
]);

/** Live migrations of one server while they are under way. */
export function serverMigrationRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  const path = "/servers/:id/migrations";
  return [
    route({
      name: "server-migrations.list",
      method: "GET",
      path,
      policy: [`${RULE}:index`, `${RULE}:index:host`],
      minVersion: "2.23",
      query: Type.Object({}),
      strictQueryFrom: "2.102",
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:index`, targetOf(server));
        const seesHosts = request.check(`${RULE}:index:host`, targetOf(server));
        const found = await liveMigrationsOf(q, server.id);
        const views = found.map((each) => withoutHosts(steps.down(request.version, view(each)), seesHosts));
        return { body: { migrations: views } };
      },
    }),
    route({
      name: "server-migrations.show",
      method: "GET",
      path: `${path}/:migration`,
      policy: `${RULE}:show`,
      minVersion: "2.23",
      query: Type.Object({}),
      strictQueryFrom: "2.102",
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:show`, targetOf(server));
        const number = numberOf(request.param("migration"));
        const [found] = number === undefined ? [] : await liveMigrationsOf(q, server.id, number);
        if (!found) throw await whyNotShown(q, server, request.param("migration"));
        return { body: { migration: steps.down(request.version, view(found)) } };
      },
    }),
    actionRoute({
      name: "server-migrations.action",
      path: `${path}/:migration/action`,
      actions: [
        action({
          key: "force_complete",
          policy: `${RULE}:force_complete`,
          minVersion: "2.22",
          body: Type.Null(),
          async handler(request) {
            const server = await serverOf(q, request);
            request.authorize(`${RULE}:force_complete`, targetOf(server));
            mustBeUnlocked(server, request.context.isAdmin);
            mustPass(GATES.forceComplete, server, "force_complete");
            const migration = await migrationOf(q, server, request.param("migration"));
            if (migration?.type !== "live-migration" || migration.status !== "running") {
              throw invalid(`Migration ${request.param("migration")} of instance ${server.id} is not running.`);
            }
            await tell(deps, request, server, migration, "force_complete", "live_migration_force_complete");
            return undefined;
          },
        }),
      ],
    }),
    route({
      name: "server-migrations.abort",
      method: "DELETE",
      path: `${path}/:migration`,
      policy: `${RULE}:delete`,
      minVersion: "2.24",
      success: 202,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:delete`, targetOf(server));
        mustBeUnlocked(server, request.context.isAdmin);
        mustPass(GATES.abortLiveMigration, server, "abort live migration");
        const migration = await migrationOf(q, server, request.param("migration"));
        if (!migration) throw notFound(server, request.param("migration"));
        if (migration.type !== "live-migration" || !mayAbort(migration.status, request.version.atLeast("2.65"))) {
          throw invalid(`Migration ${migration.number} of instance ${server.id} is ${migration.status}.`);
        }
        await tell(deps, request, server, migration, "abort", "live_migration_cancel");
        return undefined;
      },
    }),
  ];
}

/** Leaves a signal for the migration's operation. One that has just ended is no longer running: 400. */
async function tell(
  deps: FaceDependencies,
  request: ApiRequest<unknown, unknown>,
  server: ServerRow,
  migration: MigrationRow,
  signal: "abort" | "force_complete",
  actionName: string,
): Promise<void> {
  try {
    await deps.kernel.store.tx(async (t) => {
      await deps.kernel.operations.signal(t, migration.operation_id, signal, { requestId: request.requestId });
      // What waits for its turn or prepares does not look at signals: it is undone.
      if (signal === "abort" && migration.status !== "running") {
        await deps.kernel.operations.cancel(t, migration.operation_id).catch(unlessPastPivot);
      }
      await recordFor(t, deps, request, server, {
        action: actionName,
        operationId: migration.operation_id,
      });
    });
  } catch (error) {
    if (!(error instanceof CloudError) || error.code !== "operation.ended") throw error;
    throw invalid(`Migration ${migration.number} of instance ${server.id} has ended.`);
  }
}

/** It has begun to move in the meantime, where the signal reaches it. */
function unlessPastPivot(error: unknown): void {
  if (!(error instanceof CloudError) || error.code !== "operation.past_pivot") throw error;
}

async function migrationOf(q: Queries, server: ServerRow, text: string): Promise<MigrationRow | undefined> {
  const number = numberOf(text);
  return number === undefined ? undefined : await findMigrationOf(q, server.id, number);
}

function numberOf(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

async function whyNotShown(q: Queries, server: ServerRow, text: string): Promise<CloudError> {
  const migration = await migrationOf(q, server, text);
  if (!migration) return notFound(server, text);
  const what = migration.type === "live-migration" ? "is not in progress" : "is not a live migration";
  return new CloudError(
    "notFound",
    "compute.migration_not_shown",
    `Migration ${migration.number} of instance ${server.id} ${what}.`,
  );
}

function notFound(server: ServerRow, text: string): CloudError {
  return new CloudError(
    "notFound",
    "compute.migration_not_found",
    `Migration ${text.slice(0, 80)} could not be found for instance ${server.id}.`,
  );
}

function invalid(message: string): CloudError {
  return new CloudError("invalid", "compute.migration_state", message);
}

function view({ row, progress }: LiveMigration): Json {
  return {
    id: row.number,
    uuid: row.uuid,
    server_uuid: row.server_id,
    status: row.status,
    ...hostsOf(row),
    memory_total_bytes: progress?.memoryTotal ?? null,
    memory_processed_bytes: progress?.memoryProcessed ?? null,
    memory_remaining_bytes: progress?.memoryRemaining ?? null,
    disk_total_bytes: progress?.diskTotal ?? null,
    disk_processed_bytes: progress?.diskProcessed ?? null,
    disk_remaining_bytes: progress?.diskRemaining ?? null,
    created_at: isoMicros(row.created_at),
    updated_at: isoMicros(row.updated_at),
    user_id: row.user_id,
    project_id: row.project_id,
  };
}
