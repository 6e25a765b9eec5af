import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn } from "../../../kernel/fleet/services.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion } from "../../../kernel/http/route.ts";
import { BodyBoolean, HostName, isTrue } from "../../../kernel/http/schemas.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { forceNeedsHost, GATES, hostOf, mustBeUnlocked, mustLeaveHost, mustPass } from "../domain/can.ts";
import type { LiveMigrateInput } from "../operations/live-migrate-server.ts";
import type { ServerRow } from "../store/tables.ts";
import { accept } from "./accept.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { computeIsUp, mustBeComputeHost } from "./host-checks.ts";
import { serverOf, targetOf } from "./server-lookup.ts";
import { waitForChecks } from "./wait-for-checks.ts";

const RULE = "os_compute_api:os-migrate-server:migrate_live";
const closed = { additionalProperties: false };
const host = Type.Union([HostName, Type.Null()]);
const BoolOrAuto = Type.Union([BodyBoolean, Type.Literal("auto")]);

const Newest = Type.Object({ host, block_migration: BoolOrAuto }, closed);
type Body = Static<typeof Newest> & { disk_over_commit?: boolean | string; force?: boolean | string };
const WithForce = Type.Object({ host, block_migration: BoolOrAuto, force: Type.Optional(BodyBoolean) }, closed);
const Oldest = Type.Object({ host, block_migration: BodyBoolean, disk_over_commit: BodyBoolean }, closed);

/** Live migration. Below 2.34 the client waits for the pre-checks, from there their failure shows in the records. */
export function liveMigrateAction(deps: FaceDependencies): Action {
  const q = deps.kernel.store.read;
  return action({
    key: "os-migrateLive",
    policy: [RULE, `${RULE}:host`],
    body: byVersion<typeof Newest>({
      "2.1": Oldest as unknown as typeof Newest,
      "2.25": Newest,
      "2.30": WithForce as unknown as typeof Newest,
      "2.68": Newest,
    }),
    async handler(request) {
      const target = request.body.host;
      const server = await serverOf(q, request);
      request.authorize(target === null ? RULE : `${RULE}:host`, targetOf(server));
      const input = inputOf(request, server);
      mustBeUnlocked(server, request.context.isAdmin);
      mustPass(GATES.liveMigrate, server, "os-migrateLive");
      hostOf(server);
      await mustBeComputeHost(q, target);
      const waits = input.synchronousChecks;
      if (waits) await checkHostsNow(q, deps, server, input);
      const operationId = await accept(deps, request, server, {
        name: "os-migrateLive",
        action: "live-migration",
        operation: deps.operations.liveMigrate,
        input,
        task: "migrating",
      });
      if (waits) await waitForChecks(deps, operationId, request.signal);
      return undefined;
    },
  });
}

function inputOf(request: ApiRequest<Static<typeof Newest>>, server: ServerRow): LiveMigrateInput {
  const body: Body = request.body;
  const { version } = request;
  const force = body.force !== undefined && isTrue(body.force);
  forceNeedsHost(force, body.host);
  return {
    serverId: server.id,
    host: body.host,
    blockMigration: body.block_migration === "auto" ? "auto" : isTrue(body.block_migration),
    diskOverCommit: body.disk_over_commit !== undefined && isTrue(body.disk_over_commit),
    // Before 2.30 a host that was named was taken without asking the scheduler.
    force: body.host !== null && (force || version.below("2.30")),
    synchronousChecks: version.below("2.34"),
  };
}

/** What can be said without the hosts. */
async function checkHostsNow(
  q: Queries,
  deps: FaceDependencies,
  server: ServerRow,
  input: LiveMigrateInput,
): Promise<void> {
  mustLeaveHost(server, input.host);
  if (!(await computeIsUp(q, deps, hostOf(server)))) throw unavailable(hostOf(server));
  if (input.host === null) return;
  if (!(await computeIsUp(q, deps, input.host))) throw unavailable(input.host);
  const service = await findServiceOn(q, input.host, "nova-compute");
  if (!input.force && service?.disabled === 1) throw unavailable(input.host);
}

function unavailable(name: string): CloudError {
  return new CloudError(
    "invalid",
    "compute.service_unavailable",
    `Compute service of ${name} is unavailable at this time.`,
  );
}
