import type { Kysely } from "kysely";
import type { Clock } from "../clock/clock.ts";
import { Moment } from "../clock/moment.ts";
import { CloudError } from "../errors/cloud-error.ts";
import type { IdSource } from "../ids/ids.ts";
import { nextNumber } from "../store/counters.ts";
import { isAmong } from "../store/is-among.ts";
import { prepared, preparedPer } from "../store/prepared.ts";
import type { Queries, Tx } from "../store/store.ts";
import type { FleetSettings } from "./settings.ts";
import type { FleetTables, ServiceRow } from "./tables.ts";

export interface ServiceFilter {
  readonly host?: string;
  readonly node?: string;
  readonly binary?: string;
  readonly service?: string;
}

type Db = Kysely<FleetTables>;

const COLUMNS = { host: "host", node: "node", binary: "binary_name", service: "service" } as const;
type FilterName = keyof typeof COLUMNS;

const filtered = preparedPer((names: readonly FilterName[]) =>
  prepared((db: Db, p: ServiceFilter) => {
    let query = db.selectFrom("services").selectAll().orderBy("number");
    for (const name of names) query = query.where(COLUMNS[name], "=", p[name] ?? "");
    return query;
  }),
);

/** Service records in the order of their creation. Filters are exact. */
export async function listServices(q: Queries, filter: ServiceFilter = {}): Promise<ServiceRow[]> {
  const names = (Object.keys(COLUMNS) as FilterName[]).filter((name) => filter[name] !== undefined);
  return await filtered(names).all(q, filter);
}

const onHosts = prepared((db: Db, p: { hosts: string }, dialect) =>
  db
    .selectFrom("services")
    .selectAll()
    .where(isAmong(dialect, "node", p.hosts)),
);

/** The records of some hosts with those of their backends, in no order. */
export async function servicesOn(q: Queries, hosts: readonly string[]): Promise<ServiceRow[]> {
  return await onHosts.all(q, { hosts: JSON.stringify(hosts) });
}

export async function findService(q: Queries, uuid: string): Promise<ServiceRow | undefined> {
  return await q.tables<FleetTables>().selectFrom("services").selectAll().where("uuid", "=", uuid).executeTakeFirst();
}

export async function findServiceOn(q: Queries, host: string, binary: string): Promise<ServiceRow | undefined> {
  return (await listServices(q, { host, binary }))[0];
}

type Liveness = Pick<ServiceRow, "forced_down" | "last_seen" | "created_at">;

/** Up: not forced down, and heard within `service_down_time`. Disabling does not matter here. */
export function isUp(row: Liveness, nowMs: number, settings: FleetSettings): boolean {
  return isUpAt(row, new Moment(nowMs), settings);
}

/** As `isUp`, for an answer that is kept while the moment holds. */
export function isUpAt(row: Liveness, moment: Moment, { serviceDownTimeMs }: FleetSettings): boolean {
  const heard = row.last_seen ?? row.created_at;
  return (
    row.forced_down === 0 && !moment.isPast(heard + serviceDownTimeMs) && moment.isPast(heard - serviceDownTimeMs - 1)
  );
}

export type ServicePatch = Partial<Pick<ServiceRow, "disabled" | "disabled_reason" | "forced_down">>;

/** An operator's change. Throws `fleet.service_not_found`. */
export async function updateService(t: Tx, clock: Clock, uuid: string, patch: ServicePatch): Promise<ServiceRow> {
  const row = await t
    .tables<FleetTables>()
    .updateTable("services")
    .set({ ...patch, modified_at: clock.now() })
    .where("uuid", "=", uuid)
    .returningAll()
    .executeTakeFirst();
  if (!row) throw new CloudError("notFound", "fleet.service_not_found", `Service ${uuid} could not be found.`);
  return row;
}

/** The host provides these and nothing else: its heartbeats no longer count for its other records. */
export async function dropServices(t: Tx, node: string, provided: readonly ServiceRow[]): Promise<void> {
  const uuids = provided.map((row) => row.uuid);
  let others = t.tables<FleetTables>().updateTable("services").set({ node: "" }).where("node", "=", node);
  others = others.where("service", "is not", null);
  if (uuids.length > 0) others = others.where("uuid", "not in", uuids);
  await others.execute();
}

export async function deleteService(t: Tx, uuid: string): Promise<void> {
  await t.tables<FleetTables>().deleteFrom("services").where("uuid", "=", uuid).execute();
}

export interface ServiceAnnouncement {
  /** The host that beats for the record. */
  readonly host: string;
  /** With a backend, the record's host is `host@backend`. */
  readonly backend?: string | undefined;
  readonly binary: string;
  readonly service: string | null;
  readonly cluster: string | null;
  readonly facts: Record<string, unknown>;
  readonly zone: string;
}

/** Creates the record, or brings its facts up to date; flags that an operator set stay. */
export async function announceService(
  t: Tx,
  tools: { clock: Clock; ids: IdSource },
  announced: ServiceAnnouncement,
): Promise<ServiceRow> {
  const { clock, ids } = tools;
  const db = t.tables<FleetTables>();
  const { host: node, backend } = announced;
  const host = backend === undefined ? node : `${node}@${backend}`;
  const known = await findServiceOn(t, host, announced.binary);
  const facts = JSON.stringify(announced.facts);
  if (known) {
    const changed = { facts, node, cluster: announced.cluster, last_seen: clock.now() };
    await db.updateTable("services").set(changed).where("uuid", "=", known.uuid).execute();
    return { ...known, ...changed };
  }
  const row: ServiceRow = {
    uuid: ids.uuid(),
    number: await nextNumber(t, "service"),
    host,
    node,
    binary_name: announced.binary,
    service: announced.service,
    cluster: announced.cluster,
    facts,
    zone: announced.zone,
    disabled: 0,
    disabled_reason: null,
    forced_down: 0,
    last_seen: clock.now(),
    created_at: clock.now(),
    modified_at: null,
  };
  await db.insertInto("services").values(row).execute();
  return row;
}
