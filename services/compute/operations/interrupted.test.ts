import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ComputeVerb } from "../../../agent/protocol/compute.ts";
import { openSqlite as open } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";
import { HOSTS } from "./testing/operation-world.ts";

interface Work {
  readonly name: "create" | "liveMigrate" | "resize" | "stop";
  /** Calls during which something happens. */
  readonly verbs: readonly ComputeVerb[];
}

const WORKS: readonly Work[] = [
  { name: "create", verbs: ["compute.ensure"] },
  { name: "stop", verbs: ["compute.ensureStopped"] },
  {
    name: "liveMigrate",
    verbs: [
      "compute.checkDestination",
      "compute.prepareIncoming",
      "compute.migrateOut",
      "compute.finishIncoming",
      "compute.ensureAbsent",
    ],
  },
  {
    name: "resize",
    verbs: [
      "compute.ensureStopped",
      "compute.serveDisk",
      "compute.receiveDisk",
      "compute.ensureDiskNotServed",
      "compute.ensure",
    ],
  },
];

/** The work, begun on a server of its own. */
async function begin(bench: Bench, name: Work["name"], storage: "local" | "shared"): Promise<string> {
  const { world, operations } = bench;
  const { given } = world;
  if (name === "create") {
    const id = await given.newServer({ storage });
    await given.start(operations.create, await given.create(id, { host: "a" }));
    return id;
  }
  const id = await given.server({ storage });
  if (name === "stop") await given.start(operations.power.stop, await given.power(id, "stop"));
  if (name === "liveMigrate") await given.start(operations.liveMigrate, await given.liveMigrate(id, { host: "b" }));
  if (name === "resize") await given.start(operations.resize, await given.resize(id, { host: "b" }));
  return id;
}

/** Confirms a resize that came that far, and carries everything to its end. */
async function settle(bench: Bench, id: string): Promise<void> {
  const { world } = bench;
  await world.toTheEnd(async () => (await bench.server(id)).vm_state === "resized");
  if ((await bench.server(id)).vm_state !== "resized") return;
  await world.work();
  await world.given.decide(id, "confirm");
  await world.toTheEnd();
}

const OTHER_ENDS = {
  create: [
    { vm: "active", host: HOSTS },
    { vm: "error", host: null },
  ],
  stop: [
    { vm: "stopped", host: "a" },
    { vm: "active", host: "a" },
  ],
  liveMigrate: [{ vm: "active", host: ["a", "b"] }],
  resize: [{ vm: "active", host: ["a", "b"] }],
} as const;

async function expectEnded(bench: Bench, name: Work["name"], serverId: string): Promise<void> {
  const { vm_state } = await bench.server(serverId);
  const end = OTHER_ENDS[name].find(({ vm }) => vm === vm_state);
  assert.ok(end, `${name} ended in ${vm_state}`);
  await expectCleanSlate(bench.world, { serverId, ...end });
}

// Many runs, and about agents rather than the database: the fault matrices do both stores.
describe("interrupted operations (sqlite)", () => {
  for (const { name, verbs } of WORKS) {
    test(`${name}: its server is deleted meanwhile`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      for (const verb of verbs) {
        for (const storage of ["local", "shared"] as const) {
          const id = await begin(bench, name, storage);
          const rule = world.sim.faults.add({ verb, fault: { type: "hang" } });
          await world.workUntil(() => rule.hits > 0);
          await world.tools.store.tx(async (t) => {
            for (const { id: live } of await world.live()) await world.tools.control.abandon(t, live);
          });
          rule.remove();
          await world.given.start(operations.delete, await world.given.delete(id));
          await world.toTheEnd();
          await expectCleanSlate(world, { serverId: id, host: HOSTS, vm: "deleted" });
        }
      }
      await bench.close();
    });

    for (const when of ["before", "after"] as const) {
      test(`${name}: an agent dies ${when} each of its acts`, async () => {
        const bench = await Bench.open(open);
        const { world, operations } = bench;
        for (const verb of verbs) {
          const id = await begin(bench, name, "local");
          const crash = world.sim.faults.add({ verb, fault: { type: "crash", when } });
          await settle(bench, id);
          assert.equal(crash.hits, 1, verb);
          await expectEnded(bench, name, id);
          await world.given.start(operations.delete, await world.given.delete(id));
          await world.toTheEnd();
        }
        await bench.close();
      });
    }

    test(`${name}: a host falls silent during each of its acts, and comes back much later`, async () => {
      const bench = await Bench.open(open);
      const { world, operations } = bench;
      for (const verb of verbs) {
        const id = await begin(bench, name, "local");
        let silent: string | undefined;
        const rules = ["a", "b"].map((host) => ({
          host,
          rule: world.sim.faults.add({ host, verb, fault: { type: "hang" } }),
        }));
        await world.workUntil(() => {
          silent = rules.find(({ rule }) => rule.hits > 0)?.host;
          return silent !== undefined;
        });
        world.agents.partition(silent ?? "");
        for (const { rule } of rules) rule.remove();
        const until = world.tools.clock.now() + 180_000;
        await world.toTheEnd(async () => world.tools.clock.now() > until);
        assert.deepEqual(world.sim.violations, [], verb);
        world.agents.heal(silent ?? "");
        await settle(bench, id);
        await expectEnded(bench, name, id);
        await world.given.start(operations.delete, await world.given.delete(id));
        await world.toTheEnd();
      }
      await bench.close();
    });
  }
});
