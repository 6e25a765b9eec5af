import { type Static, Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { action, actionRoute, type Route, route } from "../../../kernel/http/route.ts";
import { HostName, Name } from "../../../kernel/http/schemas.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import {
  type Aggregate,
  addHostTo,
  deleteAggregate,
  insertAggregate,
  listAggregates,
  lockAggregates,
  type Metadata,
  moveToZone,
  removeHostFrom,
  updateAggregate,
  zoneOfAggregate,
} from "../store/aggregates.ts";
import { getHost } from "../store/hosts.ts";
import type { FaceDependencies } from "./dependencies.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-aggregates";
const PATH = "/os-aggregates/:id";
const Closed = { additionalProperties: false };
const Zone = Type.String({ minLength: 1, maxLength: 255, pattern: "^[^:]*[^\\s:][^:]*$" });
const ZoneOrNone = Type.Optional(Type.Union([Zone, Type.Null()]));
const CreateBody = Type.Object(
  { aggregate: Type.Object({ name: Name, availability_zone: ZoneOrNone }, Closed) },
  Closed,
);
const UpdateBody = Type.Object(
  {
    aggregate: Type.Object(
      { name: Type.Optional(Name), availability_zone: ZoneOrNone },
      { ...Closed, minProperties: 1 },
    ),
  },
  Closed,
);
const HostBody = Type.Object({ host: HostName }, Closed);
const MetadataBody = Type.Object(
  {
    metadata: Type.Record(
      Type.String({ pattern: "^[a-zA-Z0-9-_:. ]{1,255}$" }),
      Type.Union([Type.String({ maxLength: 255 }), Type.Null()]),
      Closed,
    ),
  },
  Closed,
);
type AnyRequest = Pick<ApiRequest, "param" | "authorize" | "version">;

/**
 * `/os-aggregates`: named groups of hosts. An aggregate's zone is that of its hosts; other metadata are kept for whoever
 * reads them, the scheduler does not.
 */
export function aggregateRoutes(deps: FaceDependencies): Route[] {
  const { store, clock, ids } = deps.kernel;
  const answer = (request: AnyRequest, aggregate: Aggregate) => ({ body: { aggregate: view(request, aggregate) } });

  /** Changes one aggregate while no other changes, then shows it. */
  const change = async (
    request: AnyRequest,
    rule: string,
    act: (t: Tx, aggregate: Aggregate, all: readonly Aggregate[]) => Promise<void>,
  ) => {
    request.authorize(`${RULE}:${rule}`);
    const changed = await store.tx(async (t) => {
      const all = await lockAggregates(t);
      const aggregate = pick(all, request.param("id"));
      await act(t, aggregate, all);
      return pick(await listAggregates(t), request.param("id"));
    });
    return answer(request, changed);
  };
  const put = async (t: Tx, hosts: readonly string[], zone: string | undefined) => {
    const busy = await moveToZone(t, hosts, zone ?? deps.settings.defaultAvailabilityZone);
    if (busy.length > 0) throw conflict("One or more hosts contain instances in this zone");
  };
  /** Writes metadata, with the zone among them; the hosts follow. */
  const setMetadata = async (
    t: Tx,
    aggregate: Aggregate,
    all: readonly Aggregate[],
    wanted: { name?: string; metadata: Readonly<Record<string, string | null>> },
  ) => {
    const metadata = merged(aggregate.metadata, wanted.metadata);
    const zone = zoneOfAggregate({ metadata });
    for (const host of aggregate.hosts) mustHaveOneZone(host, zone, others(all, aggregate));
    if (zone !== zoneOfAggregate(aggregate)) {
      await put(
        t,
        aggregate.hosts.filter((host) => zone !== undefined || zoneFrom(host, others(all, aggregate)) === undefined),
        zone,
      );
    }
    const { name } = wanted;
    if (name !== undefined) mustBeFree(name, others(all, aggregate));
    await updateAggregate(t, aggregate.number, {
      metadata,
      updated_at: clock.now(),
      ...(name === undefined ? {} : { name }),
    });
  };

  return [
    route({
      name: "aggregates.list",
      method: "GET",
      path: "/os-aggregates",
      policy: `${RULE}:index`,
      async handler(request) {
        request.authorize(`${RULE}:index`);
        const aggregates = await listAggregates(store.read);
        return { body: { aggregates: aggregates.map((each) => view(request, each)) } };
      },
    }),
    route({
      name: "aggregates.create",
      method: "POST",
      path: "/os-aggregates",
      policy: `${RULE}:create`,
      body: CreateBody,
      async handler(request) {
        request.authorize(`${RULE}:create`);
        const { name, availability_zone: zone = null } = request.body.aggregate;
        const made = await store.tx(async (t) => {
          const row = {
            number: await nextNumber(t, "compute.aggregate"),
            uuid: ids.uuid(),
            name,
            metadata: merged({}, { availability_zone: zone }),
            created_at: clock.now(),
            updated_at: null,
          };
          if (!(await insertAggregate(t, row))) throw nameTaken(name);
          return row;
        });
        // A new aggregate has always been shown without the parts that it cannot have yet.
        const { hosts: _hosts, metadata: _metadata, ...shown } = view(request, { ...made, hosts: [] });
        return { body: { aggregate: shown } };
      },
    }),
    route({
      name: "aggregates.show",
      method: "GET",
      path: PATH,
      policy: `${RULE}:show`,
      async handler(request) {
        request.authorize(`${RULE}:show`);
        return answer(request, pick(await listAggregates(store.read), request.param("id")));
      },
    }),
    route({
      name: "aggregates.update",
      method: "PUT",
      path: PATH,
      policy: `${RULE}:update`,
      body: UpdateBody,
      handler: (request) =>
        change(request, "update", async (t, aggregate, all) => {
          const { name, availability_zone: zone } = request.body.aggregate;
          const metadata = zone === undefined ? {} : { availability_zone: zone };
          await setMetadata(t, aggregate, all, { metadata, ...(name === undefined ? {} : { name }) });
        }),
    }),
    route({
      name: "aggregates.delete",
      method: "DELETE",
      path: PATH,
      policy: `${RULE}:delete`,
      async handler(request) {
        request.authorize(`${RULE}:delete`);
        await store.tx(async (t) => {
          const aggregate = pick(await lockAggregates(t), request.param("id"));
          if (aggregate.hosts.length > 0) {
            const why = `Cannot remove aggregate ${aggregate.number}: Host aggregate is not empty`;
            throw new CloudError("invalid", "compute.aggregate_not_empty", why);
          }
          await deleteAggregate(t, aggregate.number);
        });
        return undefined;
      },
    }),
    actionRoute({
      name: "aggregates.action",
      path: `${PATH}/action`,
      actions: [
        action({
          key: "add_host",
          policy: `${RULE}:add_host`,
          success: 200,
          body: HostBody,
          handler: (request) =>
            change(request, "add_host", async (t, aggregate, all) => {
              const { host } = await getHost(t, request.body.host);
              if (aggregate.hosts.includes(host))
                throw conflict(`Aggregate ${aggregate.number} already has host ${host}.`);
              const zone = zoneOfAggregate(aggregate);
              mustHaveOneZone(host, zone, all);
              if (zone !== undefined) await put(t, [host], zone);
              await addHostTo(t, aggregate.number, host);
              await updateAggregate(t, aggregate.number, { updated_at: clock.now() });
            }),
        }),
        action({
          key: "remove_host",
          policy: `${RULE}:remove_host`,
          success: 200,
          body: HostBody,
          handler: (request) =>
            change(request, "remove_host", async (t, aggregate, all) => {
              const { host } = request.body;
              if (!aggregate.hosts.includes(host)) {
                const why = `Aggregate ${aggregate.number} has no host ${host}.`;
                throw new CloudError("notFound", "compute.aggregate_host_not_found", why);
              }
              if (zoneOfAggregate(aggregate) !== undefined)
                await put(t, [host], zoneFrom(host, others(all, aggregate)));
              await removeHostFrom(t, aggregate.number, host);
              await updateAggregate(t, aggregate.number, { updated_at: clock.now() });
            }),
        }),
        action({
          key: "set_metadata",
          policy: `${RULE}:set_metadata`,
          success: 200,
          body: MetadataBody,
          handler: (request) =>
            change(request, "set_metadata", async (t, aggregate, all) => {
              const { metadata } = request.body as Static<typeof MetadataBody>;
              await setMetadata(t, aggregate, all, { metadata });
            }),
        }),
      ],
    }),
  ];
}

function view(request: Pick<AnyRequest, "version">, aggregate: Aggregate): Json {
  return {
    id: aggregate.number,
    ...(request.version.atLeast("2.41") ? { uuid: aggregate.uuid } : {}),
    name: aggregate.name,
    availability_zone: zoneOfAggregate(aggregate) ?? null,
    hosts: aggregate.hosts,
    metadata: aggregate.metadata,
    created_at: isoMicros(aggregate.created_at),
    updated_at: aggregate.updated_at === null ? null : isoMicros(aggregate.updated_at),
    deleted: false,
    deleted_at: null,
  };
}

/** Null takes a key away. */
function merged(old: Metadata, wanted: Readonly<Record<string, string | null>>): Metadata {
  const entries = Object.entries({ ...old, ...wanted });
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== null));
}

function pick(all: readonly Aggregate[], id: string): Aggregate {
  if (!/^\d{1,15}$/.test(id)) throw new CloudError("invalid", "compute.aggregate_id", "id must be an integer");
  const found = all.find(({ number }) => number === Number(id));
  if (found) return found;
  throw new CloudError("notFound", "compute.aggregate_not_found", `Aggregate ${id} could not be found.`);
}

function others(all: readonly Aggregate[], one: Aggregate): Aggregate[] {
  return all.filter(({ number }) => number !== one.number);
}

/** The zone that these aggregates give the host. */
function zoneFrom(host: string, aggregates: readonly Aggregate[]): string | undefined {
  return aggregates
    .filter(({ hosts }) => hosts.includes(host))
    .map(zoneOfAggregate)
    .find((zone) => zone !== undefined);
}

function mustHaveOneZone(host: string, zone: string | undefined, rest: readonly Aggregate[]): void {
  const has = zoneFrom(host, rest);
  if (zone === undefined || has === undefined || has === zone) return;
  throw conflict(`Host ${host} already in availability zone ${has}`);
}

function mustBeFree(name: string, rest: readonly Aggregate[]): void {
  if (rest.some((each) => each.name === name)) throw nameTaken(name);
}

function nameTaken(name: string): CloudError {
  return new CloudError("conflict", "compute.aggregate_exists", `Aggregate ${name} already exists.`);
}

function conflict(why: string): CloudError {
  return new CloudError("conflict", "compute.aggregate_conflict", `Cannot change the aggregate: ${why}`);
}
