import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestPower } from "../../../agent/protocol/compute.ts";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { announceService, updateService } from "../../../kernel/fleet/services.ts";
import { fleetMigrations } from "../../../kernel/fleet/tables.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import type { EffectContext } from "../../../kernel/operations/definition.ts";
import { counterMigration } from "../../../kernel/store/counters.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { judgeMigration } from "./judge-migration.ts";

type AtSource = GuestPower | "nothing" | "silent" | "past abort";
/** What the destination answers to `abandonIncoming`, and what it has. */
type AtDestination = "gave up" | "has it" | "died waiting" | "silent";

const silent = () => new CloudError("unavailable", "fleet.host_down", "Down.");

/** One question after another, as the real hosts would answer; `asked` are the verbs by host. */
async function judged(source: AtSource, destination: AtDestination, vouched?: "source" | "destination") {
  const { store, dispose } = await openSqlite([counterMigration, ...fleetMigrations]);
  try {
    const tools = { clock: new ManualClock(), ids: systemIds };
    for (const host of ["source", "destination"]) {
      const announced = { host, binary: "nova-compute", service: "compute", cluster: null, facts: {}, zone: "nova" };
      const { uuid } = await store.tx((t) => announceService(t, tools, announced));
      if (host === vouched) await store.tx((t) => updateService(t, tools.clock, uuid, { forced_down: 1 }));
    }
    const asked: string[] = [];
    const call = async (_table: unknown, verb: string, _input: unknown, { to }: { to: { host: string } }) => {
      asked.push(`${verb} ${to.host}`);
      if (to.host === "source") {
        if (source === "silent") throw silent();
        if (source === "past abort") throw new CloudError("conflict", "compute.migration_not_abortable", "Too late.");
        return { guest: source === "nothing" ? null : { power: source } };
      }
      if (destination === "silent") throw silent();
      if (verb === "compute.inspect") return { guest: { power: AT_DESTINATION[destination] } };
      if (destination === "has it") throw new CloudError("conflict", "compute.guest_running", "It is here.");
      return {};
    };
    const context = { call, attempt: 0, read: store.read } as unknown as EffectContext;
    const where = { serverId: systemIds.uuid(), source: "source", destination: "destination" };
    const verdict = await judgeMigration(context, where).then(
      ({ arrived }) => (arrived ? "arrived" : "stayed"),
      (error: unknown) => (error instanceof CloudError && error.kind === "unavailable" ? "wait" : String(error)),
    );
    return { verdict, abandoned: asked.includes("compute.abandonIncoming destination") };
  } finally {
    await dispose();
  }
}

const AT_DESTINATION = { "gave up": "incoming", "has it": "running", "died waiting": "crashed" } as const;

const CASES: readonly [AtSource, AtDestination, "arrived" | "stayed" | "wait"][] = [
  ["running", "gave up", "stayed"],
  ["running", "died waiting", "stayed"],
  ["running", "silent", "stayed"],
  ["paused", "silent", "stayed"],
  // Both claim it: the destination cannot be wrong about what it runs.
  ["running", "has it", "arrived"],
  ["crashed", "gave up", "stayed"],
  ["crashed", "has it", "arrived"],
  ["crashed", "silent", "wait"],
  ["nothing", "has it", "arrived"],
  ["nothing", "silent", "wait"],
  ["silent", "gave up", "stayed"],
  ["silent", "has it", "arrived"],
  // It may have run there, and nobody noted it: only the source can tell.
  ["silent", "died waiting", "wait"],
  ["silent", "silent", "wait"],
];
for (const [source, destination, verdict] of CASES) {
  test(`source ${source}, destination ${destination}: ${verdict}`, async () => {
    assert.equal((await judged(source, destination)).verdict, verdict);
  });
}

for (const destination of ["gave up", "has it", "died waiting", "silent"] as const) {
  test(`a source that has handed over has the last word, destination ${destination}: nothing is abandoned`, async () => {
    assert.deepEqual(await judged("moved", destination), { verdict: "arrived", abandoned: false });
  });
}

test("a guest in post-copy is at its destination", async () => {
  assert.deepEqual(await judged("past abort", "has it"), { verdict: "arrived", abandoned: false });
});

test("a destination that died waiting keeps what it has until the source has answered", async () => {
  assert.equal((await judged("silent", "died waiting")).abandoned, false);
  assert.deepEqual(await judged("silent", "died waiting", "source"), { verdict: "stayed", abandoned: true });
});

test("a destination that an operator calls dead is not waited for", async () => {
  assert.equal((await judged("crashed", "silent", "destination")).verdict, "stayed");
  assert.equal((await judged("moved", "silent", "destination")).verdict, "arrived");
  assert.equal((await judged("silent", "silent", "destination")).verdict, "wait");
});
