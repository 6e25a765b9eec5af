import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import type { OperationTables, StepTable } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { ComputeTables, ServerRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { sample } from "../testing/samples.ts";

onBothStores("what is recorded of servers", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    for (const host of ["host-1", "host-2", "host-3"]) await world.givenHost(host);
  });
  after(() => world.close());

  describe("os-migrations", () => {
    let server: ServerRow;
    before(async () => {
      server = await world.givenServer();
      const common = { server_id: server.id, project_id: PROJECT };
      for (const [type, status] of [
        ["migration", "confirmed"],
        ["resize", "error"],
        ["live-migration", "running"],
      ] as const) {
        world.clock.advance(1000);
        const now = world.clock.now();
        await world.givenMigration({ ...common, type, status, created_at: now, updated_at: now });
      }
    });
    const list = async (query: string, version: string, who: "admin" | "manager" | "member" = "admin") =>
      await world.ask(who, "GET", `/os-migrations?${query}`, { version });

    it("looks as published", async () => {
      for (const version of ["2.1", "2.23", "2.59", "2.80"]) {
        const answer = await list("", version);
        assert.equal(answer.status, 200);
        const folder = version === "2.1" ? "os-migrations" : `os-migrations/v${version}`;
        const expected = sample(`${folder}/migrations-get`) as { migrations: { migration_type?: string }[] };
        const live = expected.migrations.find((each) => each.migration_type === "live-migration" && "links" in each);
        const wanted = live ?? expected.migrations[0];
        const found = answer.body.migrations.find(
          (each: { migration_type?: string }) => each.migration_type === wanted?.migration_type,
        );
        sameShape(found, wanted, version);
      }
    });

    it("filters and pages, newest first from 2.59", async () => {
      const types = (answer: { body: { migrations: { migration_type: string }[] } }) =>
        answer.body.migrations.map((each) => each.migration_type);
      assert.deepEqual(types(await list("", "2.59")), ["live-migration", "resize", "migration"]);
      assert.deepEqual(types(await list("", "2.58")), ["migration", "resize", "live-migration"]);
      assert.deepEqual(types(await list("status=error", "2.23")), ["resize"]);
      assert.deepEqual(types(await list("migration_type=migration", "2.23")), ["migration"]);
      assert.deepEqual(types(await list("host=host-2", "2.23")).length, 3);
      assert.deepEqual(types(await list("source_compute=host-2", "2.23")), []);
      const page = await list("limit=1", "2.59");
      assert.deepEqual(types(page), ["live-migration"]);
      const [{ href }] = page.body.migrations_links;
      assert.match(href, new RegExp(`limit=1&marker=${page.body.migrations[0].uuid}$`));
      assert.deepEqual(types(await list(`marker=${page.body.migrations[0].uuid}&limit=1`, "2.59")), ["resize"]);
      assert.deepEqual(types(await list("limit=0", "2.59")), []);
    });

    it("400 for bad queries from 2.59, nothing below", async () => {
      assert.equal((await list("nonsense=1", "2.58")).status, 200);
      assert.equal((await list("nonsense=1", "2.59")).status, 400);
      assert.equal((await list("changes-before=2026-01-01", "2.65")).status, 400);
      assert.equal((await list(`marker=${world.ids.uuid()}`, "2.59")).status, 400);
      assert.equal((await list("project_id=x", "2.79")).status, 400);
    });

    it("shows managers their own project's, without hosts", async () => {
      assert.equal((await list("", "2.80", "member")).status, 403);
      assert.equal((await list("", "2.80", "manager")).status, 403);
      assert.equal((await list(`project_id=${OTHER_PROJECT}`, "2.80", "manager")).status, 403);
      const own = await list(`project_id=${PROJECT}`, "2.80", "manager");
      assert.equal(own.status, 200);
      const [first] = own.body.migrations;
      for (const field of ["source_compute", "dest_compute", "dest_host", "source_node", "dest_node"]) {
        assert.equal(first[field], null, field);
      }
    });
  });

  describe("server migrations", () => {
    async function givenLive(status: "running" | "queued" | "accepted" = "running") {
      const server = await world.givenServer({ task_state: "migrating" });
      const operationId = await world.store.tx((t) =>
        world.deps.kernel.operations.start(t, world.deps.operations.liveMigrate, {
          input: {
            serverId: server.id,
            host: null,
            blockMigration: "auto",
            diskOverCommit: false,
            force: false,
            synchronousChecks: false,
          },
          resourceId: server.id,
        }),
      );
      const detail = {
        memoryTotal: 1000,
        memoryProcessed: 600,
        memoryRemaining: 400,
        diskTotal: 10,
        diskProcessed: 5,
        diskRemaining: 5,
      };
      await world.store.tx((t) =>
        t
          .tables<OperationTables>()
          .updateTable("operations")
          .set({ detail: JSON.stringify(detail) })
          .where("id", "=", operationId)
          .execute(),
      );
      const migration = await world.givenMigration({
        server_id: server.id,
        type: "live-migration",
        status,
        operation_id: operationId,
      });
      return { server, migration, path: `/servers/${server.id}/migrations` };
    }
    const signalsOf = async (operationId: string) =>
      (
        await world.store.read
          .tables<OperationTables>()
          .selectFrom("operation_signals")
          .select("name")
          .where("operation_id", "=", operationId)
          .execute()
      ).map(({ name }) => name);

    it("list and show look as published, with the bytes of the operation", async () => {
      const { path, migration, server } = await givenLive();
      for (const version of ["2.23", "2.59", "2.80"]) {
        const list = await world.ask("admin", "GET", path, { version });
        sameShape(list.body, sample(`server-migrations/v${version}/migrations-index`));
        const show = await world.ask("admin", "GET", `${path}/${migration.number}`, { version });
        sameShape(show.body, sample(`server-migrations/v${version}/migrations-get`));
        assert.equal(show.body.migration.memory_remaining_bytes, 400);
      }
      const shown = await world.ask("member", "GET", `/servers/${server.id}`);
      assert.equal(shown.body.server.progress, 60);
      const forManager = await world.ask("manager", "GET", path, { version: "2.80" });
      assert.equal(forManager.body.migrations[0].source_compute, null);
      assert.equal((await world.ask("manager", "GET", `${path}/${migration.number}`, { version: "2.80" })).status, 403);
      assert.equal((await world.ask("member", "GET", path, { version: "2.80" })).status, 403);
      assert.equal((await world.ask("admin", "GET", path, { version: "2.22" })).status, 404);
    });

    it("shows only what is in progress", async () => {
      const { path, migration } = await givenLive("accepted");
      assert.deepEqual((await world.ask("admin", "GET", path, { version: "2.23" })).body, { migrations: [] });
      for (const id of [migration.number, 99_999, migration.uuid]) {
        assert.equal((await world.ask("admin", "GET", `${path}/${id}`, { version: "2.23" })).status, 404);
      }
    });

    it("force_complete: 202, 400, 403 and 409", async () => {
      const { path, migration, server } = await givenLive();
      const force = (
        id: number | string,
        body: unknown = { force_complete: null },
        who: "manager" | "member" = "manager",
      ) => world.ask(who, "POST", `${path}/${id}/action`, { version: "2.22", body });
      assert.equal((await force(migration.number, { force_complete: "null" })).status, 400);
      assert.equal((await force(migration.uuid)).status, 400);
      assert.equal((await force(99_999)).status, 400);
      assert.equal((await force(migration.number, undefined, "member")).status, 403);
      assert.equal((await force(migration.number)).status, 202);
      assert.deepEqual(await signalsOf(migration.operation_id), ["force_complete"]);
      const actions = await world.ask("member", "GET", `/servers/${server.id}/os-instance-actions`);
      assert.equal(actions.body.instanceActions[0].action, "live_migration_force_complete");
      const queued = await givenLive("queued");
      const answer = await world.ask("admin", "POST", `${queued.path}/${queued.migration.number}/action`, {
        version: "2.22",
        body: { force_complete: null },
      });
      assert.equal(answer.status, 400);
      const idle = await world.givenServer();
      const wrong = await world.ask("admin", "POST", `/servers/${idle.id}/migrations/1/action`, {
        version: "2.22",
        body: { force_complete: null },
      });
      assert.equal(wrong.status, 409);
    });

    it("abort: 202, 400, 403, 404 and 409", async () => {
      const abort = (path: string, id: number | string, version = "2.24", who: "manager" | "member" = "manager") =>
        world.ask(who, "DELETE", `${path}/${id}`, { version });
      const running = await givenLive();
      assert.equal((await abort(running.path, 99_999)).status, 404);
      assert.equal((await abort(running.path, running.migration.number, "2.24", "member")).status, 403);
      assert.equal((await abort(running.path, running.migration.number, "2.23")).status, 404);
      assert.equal((await abort(running.path, running.migration.number)).status, 202);
      assert.deepEqual(await signalsOf(running.migration.operation_id), ["abort"]);
      const queued = await givenLive("queued");
      assert.equal((await abort(queued.path, queued.migration.number, "2.64")).status, 400);
      assert.equal((await abort(queued.path, queued.migration.number, "2.65")).status, 202);
      const accepted = await givenLive("accepted");
      assert.equal((await abort(accepted.path, accepted.migration.number, "2.65")).status, 400);
      const idle = await world.givenServer();
      assert.equal((await abort(`/servers/${idle.id}/migrations`, 1)).status, 409);
    });
  });

  describe("os-instance-actions", () => {
    let server: ServerRow;
    let requestId: string;
    before(async () => {
      server = await world.givenServer();
      const answer = await world.act("member", server.id, { "os-stop": null });
      requestId = String(answer.headers["x-openstack-request-id"]);
      const action = await world.store.read
        .tables<ComputeTables>()
        .selectFrom("instance_actions")
        .selectAll()
        .where("request_id", "=", requestId)
        .executeTakeFirstOrThrow();
      const step = (position: number, name: string, more: Partial<StepTable>): StepTable => ({
        operation_id: action.operation_id ?? "",
        run: 1,
        position,
        step: name,
        state: "done",
        output: null,
        attempts: 1,
        fault: null,
        event: `compute_${name}`,
        event_host: "host-1",
        request_id: requestId,
        started_at: world.clock.now() + position,
        finished_at: world.clock.now() + position,
        ...more,
      });
      const fault = JSON.stringify({ kind: "unavailable", code: "x", message: "the host is down" });
      await world.store.tx((t) =>
        t
          .tables<OperationTables>()
          .insertInto("operation_steps")
          .values([
            step(1, "stop_instance", {}),
            step(2, "silent", { event: null }),
            step(3, "failed", { state: "undone", fault }),
            step(4, "skipped", { state: "skipped" }),
            step(5, "running", { state: "started", finished_at: null }),
          ])
          .execute(),
      );
    });
    const show = async (version: string, who: "admin" | "reader" = "admin") =>
      (await world.ask(who, "GET", `/servers/${server.id}/os-instance-actions/${requestId}`, { version })).body
        .instanceAction;

    it("looks as published", async () => {
      for (const version of ["2.1", "2.21", "2.51", "2.58", "2.62", "2.66", "2.84"]) {
        const folder = version === "2.1" ? "os-instance-actions" : `os-instance-actions/v${version}`;
        const expected = sample(`${folder}/instance-action-get-resp`) as { instanceAction: object };
        sameShape(await show(version), expected.instanceAction, version);
        if (["2.51", "2.58", "2.62", "2.66", "2.84"].includes(version)) {
          const plain = sample(`${folder}/instance-action-get-non-admin-resp`) as { instanceAction: object };
          sameShape(await show(version, "reader"), plain.instanceAction, `${version} for others`);
        }
        const list = await world.ask("reader", "GET", `/servers/${server.id}/os-instance-actions`, { version });
        const listed = sample(`${folder}/instance-actions-list-resp`) as { instanceActions: object[] };
        sameShape(list.body.instanceActions[0], listed.instanceActions[0], `${version} list`);
      }
      assert.equal("events" in (await show("2.50", "reader")), false);
    });

    it("has events from the operation's journal, newest first", async () => {
      const { events } = await show("2.84");
      assert.deepEqual(
        events.map((event: { event: string; result: string | null; details: string | null }) => [
          event.event,
          event.result,
          event.details,
        ]),
        [
          ["compute_running", null, null],
          ["compute_failed", "Error", "the host is down"],
          ["compute_stop_instance", "Success", null],
        ],
      );
    });

    it("pages from 2.58 and knows deleted servers from 2.21", async () => {
      const path = `/servers/${server.id}/os-instance-actions`;
      await world.act("member", server.id, { lock: null });
      const page = await world.ask("reader", "GET", `${path}?limit=1`, { version: "2.58" });
      assert.deepEqual(
        page.body.instanceActions.map(({ action }: { action: string }) => action),
        ["lock"],
      );
      const [{ href }] = page.body.links;
      assert.match(href, /limit=1&marker=req-/);
      const marker = page.body.instanceActions[0].request_id;
      const next = await world.ask("reader", "GET", `${path}?limit=1&marker=${marker}`, { version: "2.58" });
      assert.equal(next.body.instanceActions[0].action, "stop");
      assert.equal((await world.ask("reader", "GET", `${path}?marker=x`, { version: "2.58" })).status, 400);
      assert.equal((await world.ask("reader", "GET", `${path}?nonsense=1`, { version: "2.57" })).status, 200);
      assert.equal((await world.ask("reader", "GET", `${path}?nonsense=1`, { version: "2.58" })).status, 400);
      assert.equal((await world.ask("reader", "GET", `${path}/req-nope`)).status, 404);
      assert.equal((await world.ask("stranger", "GET", path)).status, 404);
      const gone = await world.givenServer({ vm_state: "deleted", deleted_at: world.clock.now() });
      const goneList = `/servers/${gone.id}/os-instance-actions`;
      assert.equal((await world.ask("reader", "GET", goneList, { version: "2.20" })).status, 404);
      assert.equal((await world.ask("reader", "GET", goneList, { version: "2.21" })).status, 200);
    });
  });
});
