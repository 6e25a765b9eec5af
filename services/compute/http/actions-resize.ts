import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action } from "../../../kernel/http/route.ts";
import { GATES, hostOf, mustBeUnlocked, mustPass } from "../domain/can.ts";
import { finishedMigration, setMigration } from "../store/migration-records.ts";
import { flavorOf, transition } from "../store/servers.ts";
import type { FlavorSnapshot, MigrationRow, ServerRow } from "../store/tables.ts";
import { asSeen, mustBeSettled, mustHaveStillVolumes, recordFor, startFor } from "./accept.ts";
import { invalid, wantedFlavor } from "./create-request.ts";
import { DiskConfig } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mustBeUp } from "./host-checks.ts";
import { countWithinQuota, lockQuotas } from "./quota-check.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RESIZE = "os_compute_api:servers:resize";
const CONFIRM = "os_compute_api:servers:confirm_resize";
const REVERT = "os_compute_api:servers:revert_resize";
const Resize = Type.Object(
  {
    flavorRef: Type.Union([Type.String({ minLength: 1, maxLength: 1024 }), Type.Integer()]),
    "OS-DCF:diskConfig": Type.Optional(DiskConfig),
  },
  { additionalProperties: false },
);

/** resize, confirmResize and revertResize; the last two also end a cold migration. */
export function resizeActions(deps: FaceDependencies): Action[] {
  const q = deps.kernel.store.read;
  return [
    action({
      key: "resize",
      policy: RESIZE,
      body: Resize,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(RESIZE, targetOf(server));
        mustBeUnlocked(server, request.context.isAdmin);
        mustPass(GATES.resize, server, "resize");
        await mustBeUp(q, deps, hostOf(server));
        const flavor = await wantedFlavor(q, request, request.body.flavorRef);
        mustFit(flavorOf(server), flavor);
        await startResize(deps, request, server, flavor);
        return undefined;
      },
    }),
    action({
      key: "confirmResize",
      policy: CONFIRM,
      success: 204,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(CONFIRM, targetOf(server));
        mustBeUnlocked(server, request.context.isAdmin);
        mustPass(GATES.confirmResize, server, "confirmResize");
        const migration = await undecided(deps, server);
        await mustBeUp(q, deps, migration.source_host);
        await decide(deps, request, server, migration, "confirm");
        return undefined;
      },
    }),
    action({
      key: "revertResize",
      policy: REVERT,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(REVERT, targetOf(server));
        mustBeUnlocked(server, request.context.isAdmin);
        mustPass(GATES.revertResize, server, "revertResize");
        await decide(deps, request, server, await undecided(deps, server), "revert");
        return undefined;
      },
    }),
  ];
}

/** Throws 400 for the same flavor, and for one whose disk cannot hold what is there. */
function mustFit(old: FlavorSnapshot, wanted: FlavorSnapshot): void {
  if (old.id === wanted.id) throw invalid("flavor", "When resizing, instances must change flavor!");
  if (wanted.diskGiB < old.diskGiB) throw invalid("flavor", "Resize to a smaller disk is not possible.");
}

/** The migration that waits for a decision. Throws 400 when there is none. */
async function undecided(deps: FaceDependencies, server: ServerRow): Promise<MigrationRow> {
  const migration = await finishedMigration(deps.kernel.store.read, server.id);
  if (migration) return migration;
  throw new CloudError("invalid", "compute.nothing_to_decide", "Instance has not been resized.");
}

/** Tells the waiting operation what was decided; of two decisions the first counts, the other gets a 400. */
async function decide(
  deps: FaceDependencies,
  request: ApiRequest<unknown>,
  server: ServerRow,
  migration: MigrationRow,
  decision: "confirm" | "revert",
): Promise<void> {
  const { store, clock, operations } = deps.kernel;
  const reverting = decision === "revert";
  const action = reverting ? "revertResize" : "confirmResize";
  const { vm, task } = GATES[action];
  await store.tx(async (t) => {
    await setMigration(t, clock, migration.number, {
      status: reverting ? "reverting" : "confirming",
      from: ["finished"],
    });
    const to = reverting ? ({ task: "resize_reverting" } as const) : {};
    await transition(t, { clock, id: server.id, from: { vm, task }, to, action });
    await recordFor(t, deps, request, server, { action, operationId: migration.operation_id });
    await operations.signal(t, migration.operation_id, decision, { requestId: request.requestId });
  });
}

async function startResize(
  deps: FaceDependencies,
  request: ApiRequest<unknown>,
  server: ServerRow,
  flavor: FlavorSnapshot,
): Promise<void> {
  const { store, clock } = deps.kernel;
  const old = flavorOf(server);
  const more = { instances: 0, cores: flavor.vcpus - old.vcpus, ram: flavor.ramMiB - old.ramMiB };
  await store.tx(async (t) => {
    await lockQuotas(t);
    await countWithinQuota(t, server.project_id, more, { least: 1, most: 1 });
    await mustBeSettled(t, server);
    await transition(t, { clock, id: server.id, from: asSeen(server), to: { task: "resize_prep" }, action: "resize" });
    await mustHaveStillVolumes(t, deps, server);
    await startFor(t, deps, request, server, {
      action: "resize",
      operation: deps.operations.resize,
      input: { serverId: server.id, kind: "resize", flavor, host: null, wasRunning: server.vm_state === "active" },
    });
  });
}
