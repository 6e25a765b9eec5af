import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { FINAL_STATES } from "../../kernel/operations/tables.ts";
import { worldTools } from "../../kernel/operations/testing/world-tools.ts";
import { openSqlite } from "../../kernel/store/testing/stores.ts";
import { type Expected, expectCleanSlate } from "../../services/compute/operations/testing/clean-slate.ts";
import {
  OperationHarness,
  operationWorldMigrations,
} from "../../services/compute/operations/testing/operation-harness.ts";
import { HOSTS, OperationWorld } from "../../services/compute/operations/testing/operation-world.ts";
import { seeded } from "./support/seeded.ts";

const MIGRATIONS = 200;
const AT_ONCE = 20;
/** `PILEUS_CHAOS_SEED` repeats a run. */
const SEED = Number(process.env.PILEUS_CHAOS_SEED ?? randomInt(1_000_000));

type Kind = "live" | "confirm" | "revert";
const KINDS: readonly Kind[] = ["live", "live", "confirm", "revert"];

test(`${MIGRATIONS} migrations while servers and agents are killed and hosts cut off (seed ${SEED})`, async (t) => {
  const random = seeded(SEED);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const database = await openSqlite(operationWorldMigrations);
  const tools = worldTools(database.store);
  const { clock } = tools;
  const harness = new OperationHarness({ maxConcurrentLiveMigrations: 4 });
  const world = await OperationWorld.open(harness, tools);
  const { operations } = harness;

  const servers: string[] = [];
  for (let i = 0; i < AT_ONCE; i += 1)
    servers.push(await world.given.server({ host: pick(HOSTS), storage: pick(["local", "shared"] as const) }));

  const counts = { killedServer: 0, killedAgent: 0, cutOff: 0 };
  const endings: Record<string, number> = {};
  let cutOff: { host: string; until: number } | undefined;
  const heal = () => {
    if (cutOff) world.agents.heal(cutOff.host);
    cutOff = undefined;
  };
  /** Something goes wrong about every twentieth turn. */
  const disturb = async () => {
    if (cutOff && clock.now() >= cutOff.until) heal();
    const dice = random();
    if (dice < 0.008) {
      counts.killedServer += 1;
      world.restartServer();
      // Until the leases of the dead process have run out.
      await world.pass(31_000);
    } else if (dice < 0.04) {
      counts.killedAgent += 1;
      await world.agents.restart(pick(HOSTS));
    } else if (dice < 0.055 && !cutOff) {
      counts.cutOff += 1;
      cutOff = { host: pick(HOSTS), until: clock.now() + Math.floor(random() * 120_000) };
      world.agents.partition(cutOff.host);
    }
  };

  for (let done = 0; done < MIGRATIONS; done += AT_ONCE) {
    const wanted = new Map<string, { kind: Kind; operation: string }>();
    for (const id of servers) {
      const kind = pick(KINDS);
      const operation =
        kind === "live"
          ? await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id))
          : await world.given.start(operations.resize, await world.given.resize(id));
      wanted.set(id, { kind, operation });
    }
    const decided = new Set<string>();
    await world.toTheEnd(async () => {
      for (const [id, { kind, operation }] of wanted) {
        if (kind === "live" || decided.has(id)) continue;
        const row = await world.operation(operation);
        if (row.state !== "waiting" || row.step !== "decide") continue;
        decided.add(id);
        await world.given.decide(id, kind);
      }
      return false;
    }, disturb);
    heal();
    world.sim.faults.clear();
    await world.toTheEnd();
    for (const { operation } of wanted.values()) {
      const { state, fault } = await world.operation(operation);
      assert.ok(FINAL_STATES.includes(state));
      const ending = fault === null ? state : `${state}: ${(JSON.parse(fault) as { code: string }).code}`;
      endings[ending] = (endings[ending] ?? 0) + 1;
    }
    const expected = servers.map((serverId): Expected => ({ serverId, host: HOSTS, vm: "active" }));
    await expectCleanSlate(world, ...expected);
  }
  t.diagnostic(JSON.stringify({ ...counts, ...endings }));
  for (const [what, times] of Object.entries(counts)) assert.ok(times > 0, `no ${what} in this run`);
  await world.close();
  await database.dispose();
});
