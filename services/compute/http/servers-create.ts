import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { isTrue } from "../../../kernel/http/schemas.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { hostnameOf } from "../domain/hostname.ts";
import { POWER } from "../domain/server-state.ts";
import { recordAction } from "../store/instance-actions.ts";
import { quotasOf } from "../store/quotas.ts";
import { addMember, findGroup } from "../store/server-groups.ts";
import { insertServer } from "../store/server-writes.ts";
import type { FlavorSnapshot, RootStorage, ServerRow } from "../store/tables.ts";
import { type BootPlan, bootPlan, insertDevices } from "./create-devices.ts";
import {
  invalid,
  type Placement,
  wantedConfigDrive,
  wantedCount,
  wantedFlavor,
  wantedKey,
  wantedNics,
  wantedPlacement,
} from "./create-request.ts";
import { type CreateBody, createBody } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { checkMetadataCount, countWithinQuota, demandOf, lockQuotas, overQuota } from "./quota-check.ts";
import { linksOf } from "./server-view.ts";

type CreateRequest = ApiRequest<CreateBody>;

/** All that was found out before the transaction. */
interface Plan {
  readonly projectId: string;
  readonly flavor: FlavorSnapshot;
  readonly boot: BootPlan;
  readonly placement: Placement;
  readonly publicKey: string | null;
  readonly hints: Readonly<Record<string, unknown>>;
}

/** `POST /servers`: one server or several, all or none. */
export function serverCreate(deps: FaceDependencies): Route {
  return route({
    name: "servers.create",
    method: "POST",
    path: "/servers",
    policy: [
      "os_compute_api:servers:create",
      "os_compute_api:servers:create:attach_network",
      "os_compute_api:servers:create:attach_volume",
      "os_compute_api:servers:create:forced_host",
      "compute:servers:create:requested_destination",
    ],
    success: 202,
    body: createBody,
    async handler(request) {
      const { server } = request.body;
      const plan = await planOf(deps, request);
      const count = wantedCount(server);
      if (count.most > 1 && plan.boot.volumes.some(({ volumeId }) => volumeId !== null))
        throw invalid("block_device", "Cannot attach one or more volumes to multiple instances");
      const rows = await deps.kernel.store.tx((t) => createAll(t, deps, request, plan, count));
      const [first] = rows;
      if (!first) throw new CloudError("internal", "compute.none_created", "No server was created.");
      if (server.return_reservation_id !== undefined && isTrue(server.return_reservation_id)) {
        return { body: { reservation_id: first.reservation_id } };
      }
      const path = `/servers/${first.id}`;
      return {
        headers: { Location: request.urls.self(path) },
        body: {
          server: {
            id: first.id,
            links: linksOf(request.urls, path),
            "OS-DCF:diskConfig": first.disk_config,
            security_groups: groupNames(server).map((name) => ({ name })),
            adminPass: server.adminPass ?? deps.kernel.ids.secret(PASSWORD_BYTES).slice(0, PASSWORD_LENGTH),
          },
        },
      };
    },
  });
}

const PASSWORD_BYTES = 12;
const PASSWORD_LENGTH = 12;

async function planOf(deps: FaceDependencies, request: CreateRequest): Promise<Plan> {
  const q = deps.kernel.store.read;
  const { server } = request.body;
  const { projectId } = request.context;
  const target = { project_id: projectId, user_id: request.context.userId };
  request.authorize("os_compute_api:servers:create", target);
  if (projectId === null) throw new CloudError("forbidden", "compute.no_project", "The token has no project.");
  if (server.networks !== undefined) request.authorize("os_compute_api:servers:create:attach_network", target);
  if (server.block_device_mapping !== undefined || server.block_device_mapping_v2 !== undefined)
    request.authorize("os_compute_api:servers:create:attach_volume", target);
  if (server.personality && server.personality.length > 0) {
    throw invalid("personality", "Files cannot be put into a server; use user_data.");
  }
  const flavor = await wantedFlavor(q, request, server.flavorRef);
  return {
    projectId,
    flavor,
    boot: await bootPlan(q, deps, request, flavor),
    placement: await wantedPlacement(q, deps, request),
    publicKey: await wantedKey(q, request),
    hints: request.body["os:scheduler_hints"] ?? request.body["OS-SCH-HNT:scheduler_hints"] ?? {},
  };
}

async function createAll(
  t: Tx,
  deps: FaceDependencies,
  request: CreateRequest,
  plan: Plan,
  wanted: { least: number; most: number },
): Promise<ServerRow[]> {
  const { ids } = deps.kernel;
  const { server } = request.body;
  await lockQuotas(t);
  const count = await countWithinQuota(t, plan.projectId, demandOf(plan.flavor), wanted);
  await checkMetadataCount(t, plan.projectId, Object.keys(server.metadata ?? {}).length);
  const reservation = `r-${ids.hex().slice(0, 8)}`;
  const rows: ServerRow[] = [];
  for (let i = 0; i < count; i += 1) {
    const number = await nextNumber(t, "compute.server");
    const name = wanted.most > 1 ? `${server.name}-${i + 1}` : server.name;
    const row = newRow(deps, request, plan, { number, name, index: i, reservation });
    await insertServer(t, row);
    await insertDevices(t, deps, row, plan.boot.volumes);
    await joinGroup(t, plan, row);
    await startCreate(t, deps, request, plan, row);
    rows.push(row);
  }
  return rows;
}

async function startCreate(
  t: Tx,
  deps: FaceDependencies,
  request: CreateRequest,
  plan: Plan,
  row: ServerRow,
): Promise<void> {
  const { context } = request;
  await deps.network.allocatePorts(t, {
    serverId: row.id,
    projectId: row.project_id,
    host: null,
    isAdmin: context.isAdmin,
    requested: wantedNics(request.body.server),
    securityGroups: request.body.server.security_groups?.map(({ name }) => name) ?? [],
  });
  const operationId = await deps.kernel.operations.start(t, deps.operations.create, {
    input: {
      serverId: row.id,
      host: plan.placement.host,
      force: plan.placement.force,
      volumes: plan.boot.volumes.length > 0,
    },
    resourceId: row.id,
    projectId: row.project_id,
    userId: row.user_id,
    requestId: request.requestId,
  });
  await recordAction(t, deps.kernel, {
    serverId: row.id,
    requestId: request.requestId,
    action: "create",
    userId: row.user_id,
    projectId: row.project_id,
    operationId,
  });
}

/** The group of the hints: must be the project's own and have room. */
async function joinGroup(t: Tx, plan: Plan, row: ServerRow): Promise<void> {
  const id = plan.hints.group;
  if (typeof id !== "string") return;
  const group = await findGroup(t, id);
  if (!group || group.project_id !== row.project_id) throw invalid("group", `Instance group ${id} could not be found.`);
  const limit = (await quotasOf(t, row.project_id)).server_group_members;
  if (limit >= 0 && group.members.length >= limit) {
    throw overQuota("server_group_members", `Quota exceeded, too many servers in group ${id}`);
  }
  await addMember(t, group.id, row.id);
}

function newRow(
  deps: FaceDependencies,
  request: CreateRequest,
  plan: Plan,
  which: { number: number; name: string; index: number; reservation: string },
): ServerRow {
  const { server } = request.body;
  const { clock, ids } = deps.kernel;
  const id = ids.uuid();
  const now = clock.now();
  return {
    id,
    number: which.number,
    project_id: plan.projectId,
    user_id: request.context.userId,
    name: which.name,
    description: describedAs(request, which.name),
    hostname: server.hostname ?? hostnameOf(which.name, id),
    vm_state: "building",
    task_state: "scheduling",
    power_state: POWER.none,
    host: null,
    flavor: JSON.stringify(plan.flavor),
    image_id: plan.boot.image?.id ?? "",
    image_properties: JSON.stringify(plan.boot.properties),
    storage: storageOf(plan),
    requested_zone: plan.placement.zone,
    zone: null,
    key_name: server.key_name ?? null,
    public_key: plan.publicKey,
    metadata: JSON.stringify(server.metadata ?? {}),
    tags: JSON.stringify([...new Set(server.tags ?? [])]),
    scheduler_hints: JSON.stringify(plan.hints),
    security_groups: JSON.stringify(groupNames(server)),
    user_data: server.user_data ?? null,
    config_drive: wantedConfigDrive(server) ? 1 : 0,
    disk_config: server["OS-DCF:diskConfig"] ?? "MANUAL",
    access_ipv4: server.accessIPv4 ?? null,
    access_ipv6: server.accessIPv6 ?? null,
    reservation_id: which.reservation,
    launch_index: which.index,
    locked: 0,
    locked_by_admin: 0,
    locked_reason: null,
    fault: null,
    created_at: now,
    updated_at: now,
    launched_at: null,
    deleted_at: null,
    revision: 0,
  };
}

/** Extra spec of a flavor whose root disks live in the store that hosts share; local disks otherwise. */
const STORAGE_SPEC = "pileus:storage";

function storageOf({ boot, flavor }: Plan): RootStorage {
  if (boot.image === null) return "volume";
  return flavor.extraSpecs[STORAGE_SPEC] === "shared" ? "shared" : "local";
}

/** Below 2.19 a server is described by its name. */
function describedAs(request: CreateRequest, name: string): string | null {
  return request.version.atLeast("2.19") ? (request.body.server.description ?? null) : name;
}

function groupNames(server: CreateBody["server"]): string[] {
  const names = server.security_groups?.map(({ name }) => name) ?? [];
  return names.length > 0 ? [...new Set(names)] : ["default"];
}
