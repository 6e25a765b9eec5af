import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../../errors/cloud-error.ts";
import { counterMigration } from "../../store/counters.ts";
import type { Migration } from "../../store/migrate.ts";
import type { Store } from "../../store/store.ts";
import { type Operation, operation } from "../definition.ts";
import { operationMigrations } from "../tables.ts";
import { faultMatrix, matrixFailures } from "./fault-matrix.ts";
import type { FaultWorld } from "./fault-run.ts";
import type { WorldTools } from "./world-tools.ts";

/** A toy cloud: volumes in our database, disks on an agent. */
interface Tables {
  volumes: { id: string; status: string; host: string | null };
  capacity: { host: string; used: number };
}

const toyMigration: Migration = {
  name: "toy-0001",
  statements: [
    "CREATE TABLE volumes (id text PRIMARY KEY, status text NOT NULL, host text)",
    "CREATE TABLE capacity (host text PRIMARY KEY, used bigint NOT NULL)",
    "INSERT INTO capacity (host, used) VALUES ('h1', 0)",
  ],
};
const migrations = [counterMigration, ...operationMigrations, toyMigration];

class ToyWorld implements FaultWorld {
  readonly disks = new Map<string, number>();
  readonly store: Store;
  readonly answers = new Map<string, Promise<unknown>>();

  constructor(tools: WorldTools) {
    this.store = tools.store;
  }

  readonly callers: FaultWorld["callers"] = {
    caller: (origin) => (_table, verb, input) => {
      const key = `${origin.operationId}/${origin.step}/${origin.phase}/${verb}`;
      const answer = this.answers.get(key) ?? this.#act(verb, input as { id: string });
      this.answers.set(key, answer);
      return answer as Promise<never>;
    },
  };

  async crashAgent(): Promise<void> {
    this.answers.clear();
  }

  async volume() {
    return await this.store.read.tables<Tables>().selectFrom("volumes").selectAll().executeTakeFirst();
  }

  async used(): Promise<number> {
    return (await this.store.read.tables<Tables>().selectFrom("capacity").selectAll().executeTakeFirstOrThrow()).used;
  }

  async #act(verb: string, input: { id: string }): Promise<unknown> {
    switch (verb) {
      case "ensure":
        this.disks.set(input.id, this.disks.get(input.id) ?? 0);
        return {};
      case "create":
        if (this.disks.has(input.id)) throw new CloudError("conflict", "toy.exists", "There already.");
        this.disks.set(input.id, 0);
        return {};
      case "fill":
        if (!this.disks.has(input.id)) throw new CloudError("notFound", "toy.absent", "No such disk.");
        this.disks.set(input.id, 100);
        return {};
      default:
        this.disks.delete(input.id);
        return {};
    }
  }
}

interface Toy {
  id: string;
  confirm: boolean;
}

type Fault = "none" | "undoForgotten" | "undoTxForgotten" | "notIdempotent";

const to = { to: { host: "h1" } };

function createVolume(flaw: Fault): Operation<Toy> {
  const release = flaw === "undoTxForgotten" ? 0 : 1;
  return operation<Toy>("toy.create", { deadlineMs: 1e9, resource: "volume" })
    .step("reserve", {
      tx: async (t) => {
        await t
          .tables<Tables>()
          .updateTable("capacity")
          .set((eb) => ({ used: eb("used", "+", 1) }))
          .execute();
        return "h1";
      },
      undoTx: async (t) => {
        await t
          .tables<Tables>()
          .updateTable("capacity")
          .set((eb) => ({ used: eb("used", "-", release) }))
          .execute();
      },
    })
    .step("provision", {
      slot: ({ out }) => ({ key: out.reserve, max: 1 }),
      effect: async (a, { input }) => {
        const verb = flaw === "notIdempotent" ? "create" : "ensure";
        await a.call({}, verb as never, { id: input.id } as never, to);
      },
      undo: async (a, { input }) => {
        if (flaw !== "undoForgotten") await a.call({}, "remove" as never, { id: input.id } as never, to);
      },
    })
    .step("fill", {
      effect: async (a, { input }) => await a.call({}, "fill" as never, { id: input.id } as never, to),
    })
    .step("confirm", {
      when: ({ input }) => input.confirm,
      effect: async (a) => (a.received("confirm") ? "confirmed" : a.wait({ signals: ["confirm"] })),
    })
    .pivot()
    .step("settle", {
      effect: async (a, { input }) => await a.call({}, "fill" as never, { id: input.id } as never, to),
    })
    .step("publish", {
      tx: async (t, { out }) => {
        await t.tables<Tables>().updateTable("volumes").set({ status: "available", host: out.reserve }).execute();
      },
    })
    .onFailed(async (t) => {
      await t.tables<Tables>().updateTable("volumes").set({ status: "error" }).execute();
    });
}

const toy = (confirm: boolean) => ({
  migrations,
  world: (tools: WorldTools) => new ToyWorld(tools),
  given: async (w: ToyWorld) => {
    await w.store.tx((t) =>
      t.tables<Tables>().insertInto("volumes").values({ id: "v", status: "creating", host: null }).execute(),
    );
    return { input: { id: "v", confirm }, resourceId: "v" };
  },
  drive: async (_w: ToyWorld, op: { waitingFor: readonly string[]; signal(name: string): Promise<void> }) => {
    if (!op.waitingFor.includes("confirm")) return false;
    await op.signal("confirm");
    return true;
  },
  afterSuccess: async (w: ToyWorld) => {
    assert.deepEqual({ ...(await w.volume()) }, { id: "v", status: "available", host: "h1" });
    assert.deepEqual([...w.disks], [["v", 100]]);
    assert.equal(await w.used(), 1);
  },
  afterUnwind: async (w: ToyWorld) => {
    assert.equal((await w.volume())?.status, "error");
    assert.deepEqual([...w.disks], []);
    assert.equal(await w.used(), 0);
  },
});

faultMatrix(createVolume("none"), { ...toy(true), name: "with confirmation" });
faultMatrix(createVolume("none"), { ...toy(false), name: "without confirmation" });

test("the matrix catches a forgotten undo", async () => {
  const failures = await matrixFailures(createVolume("undoForgotten"), toy(true));
  assert.ok(failures.has("provision: fails after its work"));
  assert.ok(failures.has("fill: cancelled"));
});

test("the matrix catches a reservation that is not given back", async () => {
  const failures = await matrixFailures(createVolume("undoTxForgotten"), toy(true));
  assert.ok(failures.has("provision: fails before its work"));
});

test("the matrix catches an effect that cannot be repeated", async () => {
  const failures = await matrixFailures(createVolume("notIdempotent"), toy(true));
  assert.deepEqual(
    [...failures.keys()].sort(),
    ["provision: agent crashes during call 0", "provision: its work runs twice"].filter((n) => failures.has(n)),
  );
  assert.ok(failures.has("provision: its work runs twice"));
});

test("a sound operation has no failures", async () => {
  assert.deepEqual(await matrixFailures(createVolume("none"), toy(false)), new Map());
});

test("an operation that nothing would wake is reported, not waited for", async () => {
  const { drive: _, ...deaf } = toy(true);
  await assert.rejects(matrixFailures(createVolume("none"), deaf), /nothing would ever wake it/);
});
