import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { mustBeUnmanageable } from "../domain/can-unmanage.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { type NamedPlace, namedPool } from "../scheduler/named-pool.ts";
import { holdPool, type Judging, type Pool } from "../scheduler/pools.ts";
import { poolSuits } from "../scheduler/select-pool.ts";
import { newVolumeRow } from "../store/new-volume.ts";
import { snapshotsOf } from "../store/snapshots.ts";
import type { VolumeRow, VolumeTypeRow } from "../store/tables.ts";
import { defaultType, lockType, usableType, wantsReplication } from "../store/volume-types.ts";
import { insertVolume, lockVolume, transition, volumeNotFound } from "../store/volumes.ts";
import { Bool, isTrue } from "./booleans.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { HostText, TextOrNull, VolumeMetadata } from "./schemas.ts";
import { viewerOf } from "./type-view.ts";
import { plainVisibility, volumeView } from "./volume-view.ts";

const RULE = "volume_extension:volume_manage";

const text = Type.Optional(TextOrNull);
const members = {
  ref: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.String({ minLength: 1, maxLength: 255 })]),
  host: Type.Optional(HostText),
  name: text,
  description: text,
  volume_type: text,
  availability_zone: text,
  metadata: Type.Optional(Type.Union([VolumeMetadata, Type.Null()])),
  bootable: Type.Optional(Bool),
};
const Body = Type.Object({ volume: Type.Object({ ...members, cluster: text }) });
const WithoutCluster = Type.Object({ volume: Type.Object({ ...members, cluster: Type.Optional(Type.Unknown()) }) });
type Asked = Static<typeof Body>["volume"];

/** `POST /os-volume-manage`, since 3.8 also `/manageable_volumes`: data of an array becomes a volume. */
export function volumeManageRoutes(deps: FaceDependencies): Route[] {
  return [manage("os-volume-manage", "3.0"), manage("manageable_volumes", "3.8")];

  function manage(path: string, minVersion: string): Route {
    const { store, operations } = deps.kernel;
    return route({
      name: path === "os-volume-manage" ? "os-volume-manage.create" : "manageable-volumes.create",
      method: "POST",
      path: `/${path}`,
      minVersion,
      policy: RULE,
      success: 202,
      body: byVersion<typeof Body>({ "3.0": WithoutCluster as unknown as typeof Body, "3.16": Body }),
      async handler(request) {
        request.authorize(RULE);
        const { projectId, userId } = request.context;
        if (projectId === null)
          throw new CloudError("forbidden", "block-storage.no_project", "The token has no project.");
        const asked = request.body.volume;
        const reference = referenceOf(asked.ref);
        const place = askedPlace(asked, request.version.atLeast("3.16"));
        const type = await typeOf(store.read, deps, request, asked);
        const row = await store.tx(async (t) => {
          if (!(await lockType(t, type.id))) throw noType(type.id);
          const pool = await livingPool(t, deps, place);
          if (!(await holdPool(t, deps, pool))) throw noBackend(place);
          const wanted = newManaged(deps, asked, { pool, type, projectId, userId });
          await insertVolume(t, wanted);
          await operations.start(t, deps.operations.manageVolume, {
            input: { volumeId: wanted.id, reference },
            resourceId: wanted.id,
            projectId,
            userId,
            requestId: request.requestId,
          });
          return wanted;
        });
        return {
          body: { volume: volumeView(request, { ...row, type_name: type.name }, [], plainVisibility(request)) },
        };
      },
    });
  }
}

/** Lets a volume go. Throws 400 when it may not. */
export async function unmanageVolume(
  deps: FaceDependencies,
  { id, requestId }: { id: string; requestId: string },
): Promise<void> {
  const { store, clock, operations } = deps.kernel;
  await store.tx(async (t) => {
    const volume = await lockVolume(t, id);
    if (!volume || volume.deleted_at !== null) throw volumeNotFound(id);
    mustBeUnmanageable(volume, (await snapshotsOf(t, id)).length > 0);
    const gone = volume.host === null ? { deleted_at: clock.now() } : {};
    const to = { status: "unmanaging" as const, set: { previous_status: volume.status, ...gone } };
    await transition(t, { clock, id, from: [volume.status], to, action: "unmanage" });
    if (volume.host === null) return;
    await operations.start(t, deps.operations.unmanageVolume, {
      input: { volumeId: id },
      resourceId: id,
      projectId: volume.project_id,
      userId: volume.user_id,
      requestId,
    });
  });
}

/** The one place that is named. Throws 400 for none and for both; below the version that knows clusters they do not count. */
export function askedPlace(
  asked: { readonly host?: string | null; readonly cluster?: string | null },
  knowsClusters: boolean,
): NamedPlace {
  const { host } = asked;
  const cluster = knowsClusters ? asked.cluster : null;
  if (host && !cluster) return { host };
  if (cluster && !host) return { cluster };
  throw new CloudError("invalid", "block-storage.host_or_cluster", "Either a host or a cluster must be given.");
}

/** Throws 503, as OpenStack does for places that are unknown too. */
export async function livingPool(q: Queries, deps: Judging, place: NamedPlace): Promise<Pool> {
  const pool = await namedPool(q, deps, place);
  if (!pool) throw noBackend(place);
  return pool;
}

function noBackend(place: NamedPlace): CloudError {
  const named = "host" in place ? place.host : place.cluster;
  return new CloudError("unavailable", "block-storage.backend_not_there", `No backend ${named} is up and enabled.`);
}

function referenceOf(ref: Asked["ref"]): string {
  const name = typeof ref === "string" ? ref : (ref["source-name"] ?? ref["source-id"]);
  if (typeof name === "string" && name !== "") return name;
  throw invalidVolume("The reference must have a source-name.");
}

async function typeOf(
  q: Queries,
  deps: FaceDependencies,
  request: Pick<ApiRequest, "context">,
  asked: Asked,
): Promise<VolumeTypeRow> {
  if (!asked.volume_type) return await defaultType(q, deps.settings.defaultVolumeType);
  const type = await usableType(q, viewerOf(request), asked.volume_type);
  if (type) return type;
  throw noType(asked.volume_type);
}

function noType(named: string): CloudError {
  return invalidVolume(`Volume type ${named} could not be found.`);
}

function newManaged(
  { kernel: { ids, clock } }: FaceDependencies,
  asked: Asked,
  given: { pool: Pool; type: VolumeTypeRow; projectId: string; userId: string },
): VolumeRow {
  const { pool, type, projectId: project_id, userId: user_id } = given;
  const zone = asked.availability_zone ?? pool.zone;
  if (zone !== pool.zone) throw invalidVolume(`The backend is in the zone ${pool.zone}.`);
  if (!poolSuits(pool, type)) throw invalidVolume(`The backend has not what volumes of the type ${type.name} need.`);
  return {
    ...newVolumeRow({ id: ids.uuid(), project_id, user_id, type_id: type.id, zone, created_at: clock.now() }),
    status: "managing",
    name: asked.name?.trim() ?? null,
    description: asked.description?.trim() ?? null,
    host: pool.host,
    cluster_name: pool.cluster,
    service_uuid: pool.serviceId,
    replication_status: wantsReplication(type) ? "enabled" : "disabled",
    bootable: asked.bootable !== undefined && isTrue(asked.bootable) ? 1 : 0,
    consumes_quota: 0,
    metadata: JSON.stringify(asked.metadata ?? {}),
  };
}
