import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { CHANGED_CHANNEL } from "../../../kernel/operations/channels.ts";
import { findOperation, liveOperations } from "../../../kernel/operations/control.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { setQuotas } from "../store/quotas.ts";
import type { ServerRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { TINY } from "../testing/rows.ts";

onBothStores("server actions", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.givenHost("host-2");
    const dead = await world.givenHost("host-dead");
    await world.givenService(dead.uuid, { forced_down: 1 });
    await world.store.tx((t) => setQuotas(t, PROJECT, { instances: -1, cores: 500, ram: -1 }));
  });
  after(() => world.close());

  describe("injectNetworkInfo and resetNetwork", () => {
    for (const key of ["injectNetworkInfo", "resetNetwork"]) {
      it(`${key}: accepted in any state, with any value, without an instance action`, async () => {
        const server = await world.givenServer({ vm_state: "error", task_state: "migrating" });
        for (const value of [null, {}, "anything"]) {
          const answer = await world.act("admin", server.id, { [key]: value });
          assert.equal(answer.status, 202, JSON.stringify(answer.body));
          assert.equal(answer.body, undefined);
        }
        assert.equal((await liveOperations(world.store.read, server.id)).length, 3);
        const actions = await world.ask("admin", "GET", `/servers/${server.id}/os-instance-actions`);
        assert.deepEqual(actions.body, { instanceActions: [] });
      });

      it(`${key}: 403, 404, 409 and 400`, async () => {
        const server = await world.givenServer();
        const unplaced = await world.givenServer({ host: null });
        const missing = world.ids.uuid();
        assert.equal((await world.act("manager", server.id, { [key]: null })).status, 403);
        assert.equal((await world.act("admin", missing, { [key]: null })).status, 404);
        assert.equal((await world.act("admin", unplaced.id, { [key]: null })).status, 409);
        assert.equal((await world.act("admin", server.id, { [key]: null, other: 1 })).status, 400);
        assert.equal((await world.act("admin", server.id, "[]")).status, 400);
      });
    }
  });

  describe("power and locks", () => {
    const accepted: [string, unknown, Partial<ServerRow>, string, string][] = [
      ["os-start", null, { vm_state: "stopped" }, "powering-on", "start"],
      ["os-stop", null, {}, "powering-off", "stop"],
      ["pause", null, {}, "pausing", "pause"],
      ["unpause", null, { vm_state: "paused" }, "unpausing", "unpause"],
      ["reboot", { type: "SOFT" }, {}, "rebooting", "reboot"],
      ["reboot", { type: "hard" }, { vm_state: "error" }, "rebooting_hard", "reboot"],
    ];
    for (const [key, value, state, task, action] of accepted) {
      it(`${key} ${JSON.stringify(value)}: 202, task_state ${task}, an action and an operation`, async () => {
        const server = await world.givenServer(state);
        const answer = await world.act("member", server.id, { [key]: value });
        assert.equal(answer.status, 202, JSON.stringify(answer.body));
        assert.equal((await world.server(server.id)).task_state, task);
        const [operation] = await liveOperations(world.store.read, server.id);
        assert.equal(operation?.name, `server.${action}`);
        const [recorded] = await actionsOf(server.id);
        assert.equal(recorded?.action, action);
        assert.equal(recorded?.request_id, answer.headers["x-openstack-request-id"]);
        assert.equal((await world.act("member", server.id, { [key]: value })).status, 409, "it is busy now");
      });
    }

    it("refuses wrong states in the order vm_state, task_state, launched_at", async () => {
      const server = await world.givenServer({ vm_state: "paused", task_state: "unpausing", launched_at: null });
      const answer = await world.act("member", server.id, { "os-stop": null });
      assert.equal(answer.status, 409);
      assert.match(answer.body.conflictingRequest.message, /os-stop|stop.*vm_state paused/);
      const busy = await world.givenServer({ task_state: "pausing", launched_at: null });
      const second = await world.act("member", busy.id, { "os-stop": null });
      assert.match(second.body.conflictingRequest.message, /task_state pausing/);
      const never = await world.givenServer({ launched_at: null });
      const third = await world.act("member", never.id, { "os-stop": null });
      assert.match(third.body.conflictingRequest.message, /launched_at/);
    });

    it("locks: owner, administrator, reasons and the override", async () => {
      const server = await world.givenServer();
      assert.equal((await world.act("reader", server.id, { lock: null })).status, 403);
      assert.equal((await world.act("member", server.id, { lock: { locked_reason: "x" } }, "2.73")).status, 202);
      const shown = await world.ask("member", "GET", `/servers/${server.id}`, { version: "2.73" });
      assert.deepEqual([shown.body.server.locked, shown.body.server.locked_reason], [true, "x"]);
      assert.equal((await world.act("member", server.id, { "os-stop": null })).status, 409);
      assert.equal((await world.act("member", server.id, { unlock: null })).status, 202);
      assert.equal((await world.act("otherAdmin", server.id, { lock: null })).status, 202);
      assert.equal((await world.act("member", server.id, { unlock: null })).status, 403);
      assert.equal((await world.act("otherAdmin", server.id, { "os-stop": null })).status, 202, "administrators pass");
      assert.equal((await world.act("otherAdmin", server.id, { unlock: null })).status, 202);
      assert.equal((await world.act("member", server.id, { lock: { locked_reason: "" } }, "2.73")).status, 400);
      assert.deepEqual((await actionsOf(server.id)).map(({ action }) => action).sort(), [
        "lock",
        "lock",
        "stop",
        "unlock",
        "unlock",
      ]);
    });
  });

  describe("os-resetState", () => {
    it("sets the state at once, from any state, and fences what was under way", async () => {
      const server = await world.givenServer({ locked: 1 });
      assert.equal((await world.act("admin", server.id, { migrate: null })).status, 202);
      const [running] = await liveOperations(world.store.read, server.id);
      const record = await world.givenMigration({ server_id: server.id, status: "migrating" });
      assert.equal((await world.act("admin", server.id, { "os-resetState": { state: "error" } })).status, 202);
      const after = await world.server(server.id);
      assert.deepEqual([after.vm_state, after.task_state, after.fault], ["error", null, null]);
      assert.equal((await findOperation(world.store.read, running?.id ?? ""))?.state, "abandoned");
      const migrations = await world.ask("admin", "GET", `/os-migrations?instance_uuid=${server.id}`);
      assert.equal(migrations.body.migrations.find(({ id }: { id: number }) => id === record.number).status, "error");
      assert.equal((await world.act("admin", server.id, { "os-resetState": { state: "active" } })).status, 202);
      assert.equal((await world.server(server.id)).vm_state, "active");
      const [newest] = await actionsOf(server.id);
      assert.deepEqual([newest?.action, newest?.message], ["resetState", null]);
    });

    it("400, 403 and 404; a bad body is 400 whoever asks for whatever server", async () => {
      const server = await world.givenServer();
      for (const value of [{ state: "invalid" }, { state: 1 }, {}, null, { state: "active", other: 1 }]) {
        assert.equal((await world.act("admin", server.id, { "os-resetState": value })).status, 400);
      }
      assert.equal((await world.act("reader", "999", { "os-resetState": { state: "ACTIVE" } })).status, 400);
      assert.equal((await world.act("manager", server.id, { "os-resetState": { state: "active" } })).status, 403);
      assert.equal((await world.act("admin", "999", { "os-resetState": { state: "active" } })).status, 404);
    });
  });

  describe("migrate", () => {
    it("is accepted from managers; with a host from administrators", async () => {
      const server = await world.givenServer();
      assert.equal((await world.act("member", server.id, { migrate: null })).status, 403);
      assert.equal((await world.act("manager", server.id, { migrate: { host: "host-2" } }, "2.56")).status, 403);
      const answer = await world.act("manager", server.id, { migrate: { host: "ignored" } }, "2.55");
      assert.equal(answer.status, 202, JSON.stringify(answer.body));
      const [operation] = await liveOperations(world.store.read, server.id);
      const input = JSON.parse(operation?.input ?? "{}");
      assert.deepEqual([input.kind, input.host, input.wasRunning], ["migration", null, true]);
      assert.equal((await world.server(server.id)).task_state, "resize_prep");
      assert.equal((await actionsOf(server.id))[0]?.action, "migrate");
      const other = await world.givenServer({ vm_state: "stopped" });
      assert.equal((await world.act("admin", other.id, { migrate: { host: "host-2" } }, "2.56")).status, 202);
    });

    it("400 for hosts and bodies, 409 for states, locks and a dead source", async () => {
      const server = await world.givenServer();
      const refused: [unknown, number][] = [
        [{ host: "host-1" }, 400],
        [{ host: "nowhere" }, 400],
        [{ host: "" }, 400],
        [{ other: 1 }, 400],
        ["host-2", 400],
      ];
      for (const [value, status] of refused) {
        assert.equal((await world.act("admin", server.id, { migrate: value }, "2.56")).status, status);
      }
      for (const vm of ["paused", "error", "resized", "building"] as const) {
        const wrong = await world.givenServer({ vm_state: vm });
        assert.equal((await world.act("admin", wrong.id, { migrate: null })).status, 409, vm);
      }
      const locked = await world.givenServer({ locked: 1 });
      assert.equal((await world.act("manager", locked.id, { migrate: null })).status, 409);
      const unplaced = await world.givenServer({ host: null });
      assert.equal((await world.act("admin", unplaced.id, { migrate: null })).status, 409);
      const stranded = await world.givenServer({ host: "host-dead" });
      assert.equal((await world.act("admin", stranded.id, { migrate: null })).status, 409);
      assert.equal((await world.act("admin", world.ids.uuid(), { migrate: null })).status, 404);
    });
  });

  describe("resize, confirm and revert", () => {
    it("resizes to another flavor within the quota", async () => {
      const server = await world.givenServer();
      await world.givenFlavor({ id: TINY.id });
      const bigger = await world.givenFlavor({ id: "big", vcpus: 2, ram_mib: 1024, disk_gib: 2 });
      const huge = await world.givenFlavor({ vcpus: 1000 });
      const smaller = await world.givenFlavor({ disk_gib: 0 });
      const resize = (flavorRef: string, who: "member" | "reader" = "member") =>
        world.act(who, server.id, { resize: { flavorRef } });
      assert.equal((await resize("1")).status, 400, "the same");
      assert.equal((await resize("nope")).status, 400);
      assert.equal((await resize(smaller.id)).status, 400);
      assert.equal((await resize(huge.id)).status, 403);
      assert.equal((await resize(bigger.id, "reader")).status, 403);
      assert.equal((await resize(bigger.id)).status, 202);
      const [operation] = await liveOperations(world.store.read, server.id);
      assert.equal(JSON.parse(operation?.input ?? "{}").flavor.id, bigger.id);
    });

    it("tells the waiting operation, once", async () => {
      for (const [action, status, signal] of [
        ["confirmResize", 204, "confirm"],
        ["revertResize", 202, "revert"],
      ] as const) {
        const { server, operationId } = await givenResized();
        const answer = await world.act("member", server.id, { [action]: null });
        assert.equal(answer.status, status, JSON.stringify(answer.body));
        const signals = await world.store.read
          .tables<OperationTables>()
          .selectFrom("operation_signals")
          .selectAll()
          .where("operation_id", "=", operationId)
          .execute();
        assert.deepEqual(
          signals.map(({ name, payload }) => [name, JSON.parse(payload).requestId]),
          [[signal, answer.headers["x-openstack-request-id"]]],
        );
        const again = await world.act("member", server.id, { [action]: null });
        assert.equal(again.status, action === "confirmResize" ? 400 : 409, "confirming has no task, reverting has");
        assert.equal((await actionsOf(server.id))[0]?.action, action);
      }
    });

    it("409 for other states, locks and a dead source; 400 without a migration", async () => {
      const plain = await world.givenServer();
      assert.equal((await world.act("member", plain.id, { confirmResize: null })).status, 409);
      assert.equal((await world.act("member", plain.id, { revertResize: null })).status, 409);
      const stranded = await world.givenServer({ vm_state: "resized" });
      assert.equal((await world.act("member", stranded.id, { confirmResize: null })).status, 400);
      assert.equal((await world.act("member", stranded.id, { revertResize: null })).status, 400);
      await world.givenMigration({ server_id: stranded.id, source_host: "host-dead" });
      assert.equal((await world.act("member", stranded.id, { confirmResize: null })).status, 409);
      const locked = await world.givenServer({ vm_state: "resized", locked: 1 });
      assert.equal((await world.act("member", locked.id, { confirmResize: null })).status, 409);
    });
  });

  describe("os-migrateLive", () => {
    const newest = { host: null, block_migration: "auto" };

    it("takes the body of each version and no other", async () => {
      const bodies: [string, object, number][] = [
        ["2.24", newest, 400],
        ["2.25", { ...newest, disk_over_commit: false }, 400],
        ["2.29", { ...newest, force: true }, 400],
        ["2.34", newest, 202],
        ["2.34", { host: "host-2", block_migration: "true", force: "False" }, 202],
        ["2.34", { ...newest, force: true }, 400],
        ["2.67", { host: "host-2", block_migration: true, force: true }, 202],
        ["2.68", { ...newest, force: false }, 400],
        ["2.68", newest, 202],
        ["2.68", { block_migration: "auto" }, 400],
        ["2.68", { host: null }, 400],
        ["2.68", { host: null, block_migration: 1 }, 400],
        ["2.68", { host: "no such", block_migration: true }, 400],
        ["2.68", { host: "nowhere", block_migration: true }, 400],
        ["2.68", { host: "host-1", block_migration: true }, 202],
      ];
      for (const [version, body, status] of bodies) {
        const server = await world.givenServer();
        const answer = await world.act("admin", server.id, { "os-migrateLive": body }, version);
        assert.equal(answer.status, status, `${version} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`);
        const state = await world.server(server.id);
        assert.equal(state.task_state, status === 202 ? "migrating" : null);
      }
    });

    it("needs a manager, with a host an administrator, and the right state", async () => {
      const server = await world.givenServer();
      const to = { host: "host-2", block_migration: "auto" };
      assert.equal((await world.act("member", server.id, { "os-migrateLive": newest }, "2.68")).status, 403);
      assert.equal((await world.act("manager", server.id, { "os-migrateLive": to }, "2.68")).status, 403);
      for (const vm of ["stopped", "error", "resized"] as const) {
        const wrong = await world.givenServer({ vm_state: vm });
        assert.equal((await world.act("admin", wrong.id, { "os-migrateLive": newest }, "2.68")).status, 409, vm);
      }
      const locked = await world.givenServer({ locked: 1 });
      assert.equal((await world.act("manager", locked.id, { "os-migrateLive": newest }, "2.68")).status, 409);
      const answer = await world.act("manager", server.id, { "os-migrateLive": newest }, "2.68");
      assert.equal(answer.status, 202);
      const shown = await world.ask("member", "GET", `/servers/${server.id}`);
      assert.equal(shown.body.server.status, "MIGRATING");
      assert.equal((await actionsOf(server.id))[0]?.action, "live-migration");
    });

    it("below 2.34 refuses at once what is plain, and waits for the other checks", async () => {
      const old = { host: "host-1", block_migration: false, disk_over_commit: false };
      const server = await world.givenServer();
      assert.equal((await world.act("admin", server.id, { "os-migrateLive": old })).status, 400, "same host");
      const stranded = await world.givenServer({ host: "host-dead" });
      assert.equal((await world.act("admin", stranded.id, { "os-migrateLive": { ...old, host: null } })).status, 400);
      const waiting = world.act("admin", server.id, { "os-migrateLive": { ...old, host: "host-2" } });
      const operation = await eventually(async () => (await liveOperations(world.store.read, server.id))[0]);
      const fault = { kind: "noCapacity", code: "compute.no_valid_host", message: "No valid host was found." };
      await endOperation(operation.id, fault);
      const answer = await waiting;
      assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.match(answer.body.badRequest.message, /No valid host/);
    });
  });

  describe("evacuate", () => {
    it("starts servers of dead hosts elsewhere and answers 200", async () => {
      const on = (more: Partial<ServerRow> = {}) => world.givenServer({ host: "host-dead", ...more });
      const old = await world.act("admin", (await on()).id, { evacuate: { onSharedStorage: "False" } });
      assert.equal(old.status, 200, JSON.stringify(old.body));
      assert.equal(typeof old.body.adminPass, "string");
      const shared = await world.act("admin", (await on()).id, { evacuate: { onSharedStorage: true } });
      assert.deepEqual(shared.body, { adminPass: null });
      const server = await on({ locked: 1, task_state: "powering-off" });
      const answer = await world.act("admin", server.id, { evacuate: { host: "host-2" } }, "2.95");
      assert.equal(answer.status, 200);
      assert.equal(answer.body, undefined);
      const shown = await world.ask("member", "GET", `/servers/${server.id}`);
      assert.equal(shown.body.server.status, "REBUILD");
      const [operation] = await liveOperations(world.store.read, server.id);
      const { host, force, stopAfter } = JSON.parse(operation?.input ?? "{}");
      assert.deepEqual([host, force, stopAfter], ["host-2", false, true]);
    });

    it("400, 403, 404 and 409", async () => {
      const dead = await world.givenServer({ host: "host-dead" });
      const alive = await world.givenServer();
      const cases: [string, object, string, number][] = [
        [alive.id, {}, "2.14", 400],
        [dead.id, { onSharedStorage: true }, "2.14", 400],
        [dead.id, {}, "2.13", 400],
        [dead.id, { onSharedStorage: true, adminPass: "x" }, "2.13", 400],
        [dead.id, { force: true }, "2.29", 400],
        [dead.id, { force: true, host: "host-2" }, "2.68", 400],
        [dead.id, { host: "nowhere" }, "2.29", 404],
        [world.ids.uuid(), {}, "2.29", 404],
        [(await world.givenServer({ host: "host-dead", vm_state: "paused" })).id, {}, "2.29", 409],
      ];
      for (const [id, body, version, status] of cases) {
        const answer = await world.act("admin", id, { evacuate: body }, version);
        assert.equal(answer.status, status, `${JSON.stringify(body)} at ${version}`);
      }
      assert.equal((await world.act("manager", dead.id, { evacuate: {} }, "2.29")).status, 403);
    });
  });

  it("unknown actions are 400, whoever asks", async () => {
    for (const key of ["suspend", "rescue", "nonsense"]) {
      assert.equal((await world.act("reader", "999", { [key]: null })).status, 400);
    }
    assert.equal((await world.act("admin", "999", {})).status, 400);
    assert.equal((await world.act("admin", "999", "no json")).status, 400);
  });

  interface Recorded {
    readonly action: string;
    readonly request_id: string;
    readonly message: string | null;
  }

  async function actionsOf(serverId: string): Promise<Recorded[]> {
    const answer = await world.ask("admin", "GET", `/servers/${serverId}/os-instance-actions`);
    return answer.body.instanceActions;
  }

  /** A server that waits for confirm or revert, with the operation that waits with it. */
  async function givenResized(): Promise<{ server: ServerRow; operationId: string }> {
    const server = await world.givenServer({ vm_state: "resized", host: "host-2" });
    const operationId = await world.store.tx((t) =>
      world.deps.kernel.operations.start(t, world.deps.operations.resize, {
        input: { serverId: server.id, kind: "migration", flavor: TINY, host: null, wasRunning: true },
        resourceId: server.id,
      }),
    );
    await world.givenMigration({ server_id: server.id, operation_id: operationId });
    return { server, operationId };
  }

  /** What a runner does when it has undone an operation. */
  async function endOperation(id: string, fault: object): Promise<void> {
    await world.store.tx(async (t) => {
      await t
        .tables<OperationTables>()
        .updateTable("operations")
        .set({ state: "undone", direction: "undo", fault: JSON.stringify(fault), run_at: null })
        .where("id", "=", id)
        .execute();
      t.notify(CHANGED_CHANNEL, id);
    });
  }
});

/** The first value that is there, within a limit. */
async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 500; i += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it did not happen in time");
}
