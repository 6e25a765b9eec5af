import { type Static, type TSchema, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { isUp } from "../../../kernel/fleet/services.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { digits, UuidLike } from "../../../kernel/http/schemas.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { withoutPool } from "../domain/place.ts";
import { pendingWork } from "../store/pending-work.ts";
import { listVolumeServices, SCHEDULER_BINARY, VOLUME_BINARY, type VolumeService } from "../store/services.ts";
import { Bool, isTrue } from "./booleans.ts";
import type { FaceDependencies } from "./dependencies.ts";

const NameOrNull = Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Null()]));

const Nullable = {
  cluster_name: NameOrNull,
  host: NameOrNull,
  service_id: Type.Optional(Type.Union([digits(1), Type.Null()])),
  resource_id: Type.Optional(Type.Union([UuidLike, Type.Null()])),
};
const Binary = Type.Enum([VOLUME_BINARY, SCHEDULER_BINARY]);
const ResourceType = Type.String({ pattern: "^(?i:volume|snapshot)$" });
const Closed = { additionalProperties: false };

const Body = Type.Object(
  {
    ...Nullable,
    binary: Type.Optional(Binary),
    is_up: Type.Optional(Bool),
    disabled: Type.Optional(Bool),
    resource_type: Type.Optional(ResourceType),
  },
  Closed,
);

const orNull = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const BodyWithNulls = Type.Object(
  {
    ...Nullable,
    binary: orNull(Binary),
    is_up: orNull(Bool),
    disabled: orNull(Bool),
    resource_type: orNull(ResourceType),
  },
  Closed,
);
const TAKEN_UP = ["operation.not_stuck", "operation.ended"];

type Asked = Static<typeof BodyWithNulls>;

/**
 * `/workers/cleanup`: which services left work behind, and who goes on with it. Our operations end by themselves: what a
 * dead member of a cluster had taken goes to the others at once, and what pauses between two tries is tried now.
 */
export function workerRoutes(deps: FaceDependencies): Route[] {
  const { store, clock, operations } = deps.kernel;
  const cleanup = (method: "POST" | "PUT", body: typeof BodyWithNulls) =>
    route({
      name: method === "POST" ? "workers.cleanup" : "workers.cleanup-by-put",
      method,
      path: "/workers/cleanup",
      minVersion: "3.24",
      policy: "workers:cleanup",
      success: 202,
      body,
      async handler(request) {
        request.authorize("workers:cleanup");
        return { body: await clean(request.body) };
      },
    });
  // OpenStack has the POST. The newer of its official clients send a PUT, with null for whatever was not asked.
  return [cleanup("POST", Body as unknown as typeof BodyWithNulls), cleanup("PUT", BodyWithNulls)];

  async function clean(asked: Asked) {
    return await store.tx(async (t) => {
      const chosen = await choose(t, asked);
      const cleaning = chosen.filter(canBeCleaned(await livingClusters(t)));
      for (const service of cleaning) await handOver(t, service, asked);
      const unavailable = chosen.filter((service) => !cleaning.includes(service));
      return { cleaning: cleaning.map(view), unavailable: unavailable.map(view) };
    });
  }

  async function choose(t: Tx, asked: Asked): Promise<VolumeService[]> {
    const { host, cluster_name: cluster, binary, service_id: id, disabled } = asked;
    const services = await listVolumeServices(t, {
      host: host ?? undefined,
      cluster: cluster ?? undefined,
      binary: binary ?? undefined,
    });
    const byResource = await serviceOfResource(t, asked);
    return services.filter(
      (service) =>
        isAlive(service) === isTrue(asked.is_up ?? false) &&
        (id === undefined || id === null || service.record.number === Number(id)) &&
        (disabled === undefined ||
          disabled === null ||
          (service.cluster ?? service.record).disabled === (isTrue(disabled) ? 1 : 0)) &&
        (byResource === null || byResource(service)),
    );
  }

  /** Without a service in the request the resource says which: the one that its pending work belongs to. */
  async function serviceOfResource(t: Tx, asked: Asked): Promise<((service: VolumeService) => boolean) | null> {
    const { resource_id: resourceId, host, cluster_name: cluster, service_id: id } = asked;
    if (!resourceId || host || cluster || id) return null;
    const [work, ...others] = await pendingWork(t, { resource: kindOf(asked), resourceId: resourceId.toLowerCase() });
    if (!work || others.length > 0) {
      throw new CloudError(
        "invalid",
        "block-storage.no_single_work",
        `${resourceId} has no work that is to be cleaned.`,
      );
    }
    return ({ record }) =>
      work.cluster === null
        ? work.host !== null && record.host === withoutPool(work.host)
        : record.cluster === withoutPool(work.cluster);
  }

  /** A dead stand-alone backend has nobody else; schedulers stand for one another. */
  function canBeCleaned(living: ReadonlySet<string>): (service: VolumeService) => boolean {
    return (service) =>
      isAlive(service) ||
      service.record.binary_name === SCHEDULER_BINARY ||
      (service.record.cluster !== null && living.has(service.record.cluster));
  }

  async function livingClusters(t: Tx): Promise<Set<string>> {
    const services = (await listVolumeServices(t, { binary: VOLUME_BINARY })).filter(isAlive);
    return new Set(services.flatMap(({ record }) => record.cluster ?? []));
  }

  async function handOver(t: Tx, service: VolumeService, asked: Asked): Promise<void> {
    const { record } = service;
    if (record.binary_name !== VOLUME_BINARY) return;
    if (!isAlive(service)) await deps.delivery.releaseTaken(t, record.node);
    const scope = record.cluster === null ? { host: record.host } : { cluster: record.cluster };
    const work = await pendingWork(t, {
      scope,
      resource: kindOf(asked),
      resourceId: asked.resource_id?.toLowerCase(),
    });
    for (const { operationId, state } of work) if (state === "ready" || state === "stuck") await retry(t, operationId);
  }

  /** A runner may have taken it up, or ended it, since it was read. */
  async function retry(t: Tx, operationId: string): Promise<void> {
    try {
      await operations.retryNow(t, operationId);
    } catch (error) {
      if (!(error instanceof CloudError) || !TAKEN_UP.includes(error.code)) throw error;
    }
  }

  function isAlive({ record }: VolumeService): boolean {
    return isUp(record, clock.now(), deps.fleet);
  }
}

function kindOf(asked: Asked): string | undefined {
  return asked.resource_type?.toLowerCase();
}

function view({ record }: VolumeService) {
  return { id: record.number, host: record.host, binary: record.binary_name, cluster_name: record.cluster };
}
