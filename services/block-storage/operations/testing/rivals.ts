import assert from "node:assert/strict";
import fc from "fast-check";
import { OWN, type SimPool } from "../../../../agent/drivers/block-storage/sim/sim-pool.ts";
import { defaultFleetSettings } from "../../../../kernel/fleet/settings.ts";
import type { FleetTables } from "../../../../kernel/fleet/tables.ts";
import { FINAL_STATES, type OperationTables } from "../../../../kernel/operations/tables.ts";
import type { Migration } from "../../../../kernel/store/migrate.ts";
import type { TestStore } from "../../../../kernel/store/testing/stores.ts";
import { withoutPool } from "../../domain/place.ts";
import { findBackend, findCluster, lockScope } from "../../store/backends.ts";
import type { BlockStorageTables, VolumeRow } from "../../store/tables.ts";
import { type Layout, StorageFleetWorld } from "./fleet-world.ts";

const SHARED = { backend: "shared", cluster: "pool@shared", replicationTargets: ["second"] };
const LAYOUT: Layout = { a: SHARED, b: SHARED, c: { backend: "solo", replicationTargets: ["second"] } };
/** Scopes, and a host by whose pool each is seen. */
const SCOPES: Readonly<Record<string, string>> = { "pool@shared": "a", "c@solo": "c" };
const NAMES = ["a@shared", "b@shared", "c@solo", "pool@shared"];
const VERBS = [
  "volume.ensure",
  "volume.ensureAbsent",
  "volume.ensureSize",
  "snapshot.ensure",
  "volume.receive",
  "volume.copyOut",
  "volume.finishCopy",
  "volume.abandonCopy",
  "volume.ensureNotExported",
  "backend.failover",
  "backend.freeze",
  "backend.thaw",
];

/** One request of those that meet. `which` picks one of the volumes that have been asked for so far. */
export type Request =
  | { readonly kind: "create"; readonly replicated: boolean }
  | { readonly kind: "delete" | "extend" | "snapshot"; readonly which: number }
  | { readonly kind: "migrate"; readonly which: number; readonly name: string }
  | { readonly kind: "retype"; readonly which: number; readonly replicated: boolean }
  | { readonly kind: "enable" | "disable" | "freeze" | "thaw"; readonly name: string }
  | { readonly kind: "failover"; readonly name: string; readonly target: string | null }
  | { readonly kind: "die"; readonly host: string; readonly verb: string; readonly when: "before" | "after" }
  | { readonly kind: "dawdle"; readonly host: string; readonly verb: string };

const which = fc.nat(20);
const name = fc.constantFrom(...NAMES);
const host = fc.constantFrom("a", "b", "c");
const verb = fc.constantFrom(...VERBS);

export const raced: fc.Arbitrary<Request> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("create" as const), replicated: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("delete" as const, "extend" as const, "snapshot" as const), which }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("migrate" as const), which, name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("retype" as const), which, replicated: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("enable" as const, "disable" as const, "freeze" as const, "thaw" as const),
      name,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("failover" as const),
      name,
      target: fc.constantFrom(null, "second", "default", "default", "nowhere"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("die" as const),
      host,
      verb,
      when: fc.constantFrom("before" as const, "after" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("dawdle" as const), host, verb }) },
);

interface Closed {
  readonly volumes: ReadonlySet<string>;
  /** Changes whenever something may have opened the scope. */
  readonly openings: string;
}

/** A cluster of two and a backend of its own, both replicated, with requests that meet there. */
export class Rivals {
  readonly world: StorageFleetWorld;
  readonly #volumes: string[] = [];
  readonly #closed = new Map<string, Closed>();
  readonly #types: { readonly plain: string; readonly replicated: string };
  #mayOpen = 0;

  private constructor(world: StorageFleetWorld, types: { plain: string; replicated: string }) {
    this.world = world;
    this.#types = types;
  }

  static async open(open: (migrations: readonly Migration[]) => Promise<TestStore>): Promise<Rivals> {
    const world = await StorageFleetWorld.open(open, LAYOUT);
    const type = async (typeName: string, extra_specs: Record<string, string>) => {
      const body = { volume_type: { name: typeName, extra_specs } };
      return (await world.must<{ volume_type: { id: string } }>("POST", "/types", body)).volume_type.id;
    };
    const replicated = await type("replicated", { replication_enabled: "<is> True" });
    return new Rivals(world, { plain: await type("plain", {}), replicated });
  }

  /** Sends them all at once; returns when all are answered. None may fail for a reason that is ours. */
  async meet(requests: readonly Request[]): Promise<void> {
    const sent = requests.map((request) => this.#send(request));
    for (const answer of await Promise.all(sent)) {
      if (answer) assert.ok(answer.status < 500, `${answer.status} ${JSON.stringify(answer.body)}`);
    }
  }

  /** Demands what holds at every moment: members mirror their cluster, and to what is closed nothing comes. */
  async look(): Promise<void> {
    for (const scope of Object.keys(SCOPES)) {
      const seen = await this.world.api.store.tx(async (t) => {
        const db = t.tables<BlockStorageTables & OperationTables>();
        // As the requests do: otherwise each statement would see another moment.
        const { cluster, members } = (await lockScope(t, scope)) ?? { cluster: null, members: [] };
        const volumes = (await db.selectFrom("volumes").selectAll().where("deleted_at", "is", null).execute()).filter(
          (row) => placeOf(row) === scope,
        );
        const failovers = await db
          .selectFrom("operations")
          .select("id")
          .where("name", "=", "backend.failover")
          .where("resource_id", "=", scope)
          .where("state", "in", FINAL_STATES)
          .execute();
        return { cluster, members, volumes, failovers: failovers.length };
      });
      const counts = seen.cluster ?? seen.members[0];
      assert.ok(counts);
      for (const member of seen.members) {
        assert.deepEqual(
          [member?.frozen, member?.replication_status, member?.active_backend_id],
          [counts.frozen, counts.replication_status, counts.active_backend_id],
          `${member?.host} mirrors ${scope}`,
        );
      }
      const openings = `${this.#mayOpen} ${seen.failovers}`;
      const before = this.#closed.get(scope);
      if (before?.openings === openings) {
        const came = seen.volumes.filter(({ id }) => !before.volumes.has(id));
        assert.deepEqual(
          came.map(({ id }) => id),
          [],
          `came to ${scope} when it was closed`,
        );
      }
      const closed = counts.frozen === 1 || counts.replication_status === "failing-over";
      if (closed) this.#closed.set(scope, { volumes: new Set(seen.volumes.map(({ id }) => id)), openings });
      else this.#closed.delete(scope);
    }
  }

  /** Lets everything end, and demands that database and arrays say the same then. */
  async expectRest(): Promise<void> {
    this.world.storage.faults.clear();
    await this.world.toTheEnd();
    await this.look();
    const { read } = this.world.api.store;
    const db = read.tables<BlockStorageTables & FleetTables>();
    const volumes = await db.selectFrom("volumes").selectAll().where("deleted_at", "is", null).execute();
    const snapshots = await db.selectFrom("volume_snapshots").selectAll().where("deleted_at", "is", null).execute();
    const services = await db.selectFrom("services").selectAll().where("binary_name", "=", "cinder-volume").execute();
    for (const [scope, member] of Object.entries(SCOPES)) {
      const pool = this.world.pools.get(member);
      const state = (await findCluster(read, scope)) ?? (await findBackend(read, scope));
      assert.ok(pool && state);
      assert.deepEqual([state.frozen === 1, state.active_backend_id || null], [pool.frozen, pool.active], scope);
      assert.equal(state.replication_status, pool.active === null ? "enabled" : "failed-over", scope);
      const flags = services.filter((row) => (row.cluster ?? row.host) === scope);
      if (!pool.frozen) {
        for (const { disabled_reason, host: at } of flags)
          assert.notEqual(disabled_reason, "frozen", `${at} says frozen`);
        if ("disabled_reason" in state) assert.notEqual(state.disabled_reason, "frozen", `${scope} says frozen`);
      }
      const here = volumes.filter((row) => placeOf(row) === scope);
      for (const row of here) expectVolume(row, pool);
      const known = new Set(here.map(({ id }) => id));
      assert.deepEqual(
        [...pool.volumes.keys()].filter((id) => !known.has(id)),
        [],
        `data of nobody in ${scope}`,
      );
      const taken = new Set(snapshots.map(({ id }) => id));
      assert.deepEqual(
        [...pool.snapshots.keys()].filter((id) => !taken.has(id)),
        [],
        `snapshots of nobody in ${scope}`,
      );
    }
    for (const { id, status, host: place } of volumes)
      if (place === null) assert.equal(status, "error", `volume ${id} is nowhere`);
    for (const { id, status, volume_id } of snapshots) {
      assert.ok(["available", "error"].includes(status), `snapshot ${id} is ${status}`);
      const holder = Object.values(SCOPES).find((member) => this.world.pools.get(member)?.snapshots.has(id));
      if (status === "available") assert.ok(holder, `snapshot ${id} of ${volume_id} is lost`);
    }
  }

  async close(): Promise<void> {
    await this.world.close();
  }

  async #send(request: Request) {
    const { world } = this;
    switch (request.kind) {
      case "create": {
        const volume = { size: 1, volume_type: this.#types[request.replicated ? "replicated" : "plain"] };
        const answer = await world.ask("POST", "/volumes", { volume });
        this.#volumes.push(answer.body.volume.id);
        return answer;
      }
      case "migrate":
      case "retype": {
        const id = this.#volumes[request.which % Math.max(1, this.#volumes.length)];
        if (id === undefined) return undefined;
        const path = `/volumes/${id}/action`;
        if (request.kind === "migrate")
          return await world.ask("POST", path, { "os-migrate_volume": named(request.name) });
        const new_type = this.#types[request.replicated ? "replicated" : "plain"];
        return await world.ask("POST", path, { "os-retype": { new_type, migration_policy: "on-demand" } });
      }
      case "delete":
      case "extend":
      case "snapshot": {
        const id = this.#volumes[request.which % Math.max(1, this.#volumes.length)];
        if (id === undefined) return undefined;
        if (request.kind === "delete") return await world.ask("DELETE", `/volumes/${id}?cascade=True`);
        if (request.kind === "snapshot") return await world.ask("POST", "/snapshots", { snapshot: { volume_id: id } });
        return await world.ask("POST", `/volumes/${id}/action`, { "os-extend": { new_size: 2 + request.which } });
      }
      case "enable":
      case "disable": {
        const body = request.name.startsWith("pool@")
          ? { name: request.name }
          : { host: request.name, binary: "cinder-volume" };
        const path = request.name.startsWith("pool@") ? "/clusters" : "/os-services";
        if (request.kind === "enable") this.#mayOpen += 1;
        return await world.ask("PUT", `${path}/${request.kind}`, body);
      }
      case "freeze":
      case "thaw":
        if (request.kind === "thaw") this.#mayOpen += 1;
        return await world.ask("PUT", `/os-services/${request.kind}`, named(request.name));
      case "failover":
        this.#mayOpen += 1;
        return await world.ask("PUT", "/os-services/failover", { ...named(request.name), backend_id: request.target });
      case "die":
        world.storage.faults.add({
          host: request.host,
          verb: request.verb,
          fault: { type: "crash", when: request.when },
        });
        return undefined;
      case "dawdle":
        world.storage.faults.add({
          host: request.host,
          verb: request.verb,
          fault: { type: "late", delayMs: DAWDLE_MS },
        });
        return undefined;
    }
  }
}

/** Far less than what makes anybody impatient. */
const DAWDLE_MS = defaultFleetSettings.serviceDownTimeMs / 30;

const named = (text: string) => (text.startsWith("pool@") ? { cluster: text } : { host: text });

function placeOf({ cluster_name, host: place }: VolumeRow): string | null {
  const where = cluster_name ?? place;
  return where === null ? null : withoutPool(where);
}

/** One that is in error may have anything of it on the array, or nothing: it can be deleted. */
function expectVolume(row: VolumeRow, pool: SimPool): void {
  const { id, status, replication_status, size_gib, migration_status } = row;
  assert.ok([null, "success", "error"].includes(migration_status), `volume ${id} is ${migration_status}`);
  assert.ok(["available", "error"].includes(status), `volume ${id} is ${status}`);
  if (status === "error") return;
  const held = pool.volumes.get(id);
  assert.ok(held, `volume ${id} is lost`);
  assert.equal(size_gib, held.sizeGiB, `size of ${id}`);
  assert.deepEqual([held.state, held.outgoing], ["ready", null], `volume ${id} is half moved`);
  const right = !held.replicated ? "disabled" : held.site === OWN ? "enabled" : "failed-over";
  assert.equal(replication_status, right, `replication status of ${id}`);
}
