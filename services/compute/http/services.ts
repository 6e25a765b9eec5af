import { Type } from "typebox";
import { Moment } from "../../../kernel/clock/moment.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import {
  deleteService,
  findService,
  listServices,
  type ServicePatch,
  updateService,
} from "../../../kernel/fleet/services.ts";
import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { RememberedAnswers } from "../../../kernel/http/remembered-answers.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { BodyBoolean, isTrue } from "../../../kernel/http/schemas.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { freeAddresses, serversLeftOn } from "../operations/free-addresses.ts";
import { freeVolumes } from "../operations/release-volume.ts";
import { removeHost, zonesOfHosts } from "../store/host-removal.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mayComeBack, mustBeCompute } from "./service-rules.ts";
import { COMPUTE, isListed, serviceAnswer, serviceVersions, stateOf, zoneOf } from "./service-view.ts";
import { serviceUpdatesByHost } from "./services-by-host.ts";

const RULE = "os_compute_api:os-services";
const text = Type.Optional(Type.String());

const patchBody = Type.Object(
  {
    status: Type.Optional(Type.Enum(["enabled", "disabled"])),
    disabled_reason: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    forced_down: Type.Optional(BodyBoolean),
  },
  { additionalProperties: false },
);

/** `/os-services` */
export function serviceRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  const answers = new RememberedAnswers(deps.kernel);
  return [
    route({
      name: "services.list",
      method: "GET",
      path: "/os-services",
      policy: `${RULE}:list`,
      query: Type.Object({ host: text, binary: text }),
      strictQueryFrom: "2.75",
      async handler(request) {
        request.authorize(`${RULE}:list`);
        return await answers.of(request, async (q, moment) => {
          const rows = (await listServices(q, request.query)).filter(isListed);
          const zones = await zonesOfHosts(q, request.query.host);
          return { services: rows.map((row) => serviceView(request, row, { zones, moment, fleet: deps.fleet })) };
        });
      },
    }),
    serviceUpdatesByHost(deps),
    route({
      name: "services.update",
      method: "PUT",
      path: "/os-services/:id",
      minVersion: "2.53",
      policy: `${RULE}:update`,
      body: patchBody,
      async handler(request) {
        request.authorize(`${RULE}:update`);
        const row = await store.tx(async (t) => {
          const found = await serviceOf(t, request);
          mustBeCompute(found.binary_name);
          const patch = patchOf(request.body);
          if (patch.forced_down === 0) await mayComeBack(t, found);
          return await updateService(t, clock, found.uuid, patch);
        });
        const zones = await zonesOfHosts(store.read, row.host);
        const moment = new Moment(clock.now());
        return { body: { service: serviceView(request, row, { zones, moment, fleet: deps.fleet }) } };
      },
    }),
    route({
      name: "services.delete",
      method: "DELETE",
      path: "/os-services/:id",
      policy: `${RULE}:delete`,
      success: 204,
      async handler(request) {
        request.authorize(`${RULE}:delete`);
        await store.tx(async (t) => {
          const row = await serviceOf(t, request);
          if (row.binary_name === COMPUTE) {
            const left = await serversLeftOn(t, row.host);
            mustBeRemovable(await removeHost(t, row.host), row.host);
            for (const id of left) {
              await freeAddresses(t, deps.network, id);
              await freeVolumes(t, deps, deps.operations.releaseVolume, id, request.requestId);
            }
          }
          await deleteService(t, row.uuid);
        });
        return undefined;
      },
    }),
  ];
}

function serviceView(
  request: Pick<ApiRequest<never, never>, "version">,
  row: ServiceRow,
  { zones, moment, fleet }: { zones: ReadonlyMap<string, string>; moment: Moment; fleet: FleetSettings },
) {
  const answer = serviceAnswer(row, zoneOf(row, zones), stateOf(row, moment, fleet));
  return serviceVersions.down(request.version, answer).service;
}

/** The service of the path's id: a number below 2.53, a UUID since. Throws 400 for ids of the wrong kind. */
async function serviceOf(
  q: Queries,
  request: Pick<ApiRequest<never, never>, "param" | "version">,
): Promise<ServiceRow> {
  const id = request.param("id");
  const byUuid = request.version.atLeast("2.53");
  if (byUuid ? !isUuidLike(id) : !/^\d{1,15}$/.test(id))
    throw new CloudError("invalid", "compute.service_id", `Invalid service id ${id}.`);
  const row = byUuid
    ? await findService(q, id.toLowerCase())
    : (await listServices(q)).find((each) => each.number === Number(id));
  if (!row || !isListed(row))
    throw new CloudError("notFound", "compute.service_not_found", `Compute service ${id} could not be found.`);
  return row;
}

function patchOf(body: { status?: string; disabled_reason?: string; forced_down?: boolean | string }): ServicePatch {
  const { status, disabled_reason: reason, forced_down: forced } = body;
  if (status === undefined && forced === undefined) {
    const why = "No updates were requested. Fields 'status' or 'forced_down' should be specified.";
    throw new CloudError("invalid", "compute.nothing_to_update", why);
  }
  if (status === "enabled" && reason !== undefined) {
    const why = "Specifying 'disabled_reason' when status is 'enabled' is invalid.";
    throw new CloudError("invalid", "compute.reason_for_enabled", why);
  }
  return {
    ...(status === undefined ? {} : { disabled: status === "disabled" ? 1 : 0, disabled_reason: reason ?? null }),
    ...(forced === undefined ? {} : { forced_down: isTrue(forced) ? 1 : 0 }),
  };
}

function mustBeRemovable(outcome: Awaited<ReturnType<typeof removeHost>>, host: string): void {
  switch (outcome) {
    case "servers":
      throw new CloudError("conflict", "compute.host_has_servers", `Unable to delete service: ${host} hosts servers.`);
    case "migrations": {
      const why = `Unable to delete service: ${host} has in-progress migrations.`;
      throw new CloudError("conflict", "compute.host_has_migrations", why);
    }
    default:
  }
}
