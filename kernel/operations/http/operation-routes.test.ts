import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { systemClock } from "../../clock/clock.ts";
import { CloudError } from "../../errors/cloud-error.ts";
import type { HttpServer } from "../../http/server.ts";
import { ADMIN, exampleServer, PROJECT, READER, tokens } from "../../http/testing.ts";
import { silentLogger } from "../../log/logger.ts";
import { Policy } from "../../policy/policy.ts";
import { openSqlite } from "../../store/testing/stores.ts";
import { operation } from "../definition.ts";
import { OperationsBench } from "../testing/operations-bench.ts";
import { operationPolicies } from "./operation-policies.ts";
import { operationRoutes, operationsFace } from "./operation-routes.ts";

const waiting = operation<{ secret: string }>("test.wait", { deadlineMs: 1000, resource: "thing" })
  .step("wait", {
    effect: async (a) => (a.received("go") ? undefined : a.wait({ signals: ["go"] })),
  })
  .build();

const failing = operation<null>("test.fail", { deadlineMs: 1000, resource: "thing" })
  .step("fail", {
    effect: async () => {
      throw new CloudError("noCapacity", "test.full", "There is no room.", { reason: "host-7 is full" });
    },
  })
  .build();

describe("the operations API", () => {
  const open: (() => Promise<void>)[] = [];
  after(async () => {
    for (const close of open.toReversed()) await close();
  });

  async function start() {
    const bench = await OperationsBench.open(
      async (migrations) => {
        const store = await openSqlite(migrations);
        open.push(store.dispose);
        return store;
      },
      { definitions: [waiting, failing] },
    );
    const admin = { name: "context_is_admin", rule: "role:admin", description: "" };
    const policy = new Policy({ defaults: [...operationPolicies, admin], log: silentLogger });
    const routes = operationRoutes({ store: bench.store, clock: systemClock, control: bench.control });
    const server = exampleServer({ faces: [{ face: operationsFace, routes }], policy });
    open.push(() => server.close());
    const begin = (projectId: string) =>
      bench.tx((t) =>
        bench.control.start(t, waiting, { input: { secret: "s3cr3t" }, resourceId: "thing-1", projectId }),
      );
    const mine = await begin(PROJECT);
    bench.clock.advance(1);
    const foreign = await begin("another");
    await bench.drain();
    return { bench, server, mine, foreign };
  }

  const ask = async (server: HttpServer, token: string, path: string, method: "GET" | "POST" = "GET") => {
    const answer = await server.inject({ method, url: `/v1/operations${path}`, headers: tokens(token) });
    assert.doesNotMatch(answer.body, /s3cr3t/);
    return { status: answer.statusCode, body: answer.body === "" ? undefined : JSON.parse(answer.body) };
  };

  test("a reader sees the operations of the own project, an administrator all", async () => {
    const { server, mine, foreign } = await start();
    const ids = async (token: string, query = "") =>
      (await ask(server, token, query)).body.operations.map((o: { id: string }) => o.id);
    assert.deepEqual(await ids(READER), [mine]);
    assert.deepEqual(await ids(ADMIN), [foreign, mine]);
    assert.deepEqual(await ids(ADMIN, "?project_id=another&state=waiting,stuck"), [foreign]);
    assert.deepEqual(await ids(ADMIN, "?limit=1"), [foreign]);
    assert.deepEqual(await ids(ADMIN, `?limit=1&marker=${foreign}`), [mine]);
    assert.equal((await ask(server, READER, "?project_id=another")).status, 403);
    assert.equal((await ask(server, ADMIN, "?state=nonsense")).status, 400);
    assert.equal((await ask(server, ADMIN, "?nonsense=1")).status, 400);
    const shown = await ask(server, READER, `/${mine}`);
    assert.deepEqual(shown.body.operation.waiting_for, ["go"]);
    assert.equal(shown.body.operation.steps[0].step, "wait");
    assert.equal((await ask(server, READER, `/${foreign}`)).status, 404);
    assert.equal((await ask(server, ADMIN, `/${foreign}`)).status, 200);
  });

  test("why there was no room is for administrators", async () => {
    const { bench, server } = await start();
    const id = await bench.tx((t) =>
      bench.control.start(t, failing, { input: null, resourceId: "thing-2", projectId: PROJECT }),
    );
    await bench.drain();
    const address = await server.listen({ host: "127.0.0.1", port: 0 });
    for (const token of [READER, ADMIN]) {
      const sees = token === ADMIN ? { reason: "host-7 is full" } : {};
      const fault = { kind: "noCapacity", code: "test.full", message: "There is no room.", ...sees };
      const shown = (await ask(server, token, `/${id}`)).body.operation;
      assert.deepEqual([shown.fault, shown.steps[0].fault], [fault, fault]);
      const [listed] = (await ask(server, token, "?name=test.fail")).body.operations;
      assert.deepEqual(listed.fault, fault);
      assert.deepEqual((await ask(server, token, `/${id}/wait`)).body.operation.fault, fault);
      const events = await fetch(`${address}/v1/operations/${id}/events`, { headers: { "x-auth-token": token } });
      assert.equal((await events.text()).includes("host-7"), token === ADMIN);
    }
  });

  test("cancel and retry are for administrators", async () => {
    const { bench, server, mine } = await start();
    assert.equal((await ask(server, READER, `/${mine}/cancel`, "POST")).status, 403);
    assert.equal((await ask(server, ADMIN, `/${mine}/retry`, "POST")).status, 409);
    assert.equal((await ask(server, ADMIN, `/${mine}/cancel`, "POST")).status, 202);
    await bench.drain();
    assert.equal((await ask(server, READER, `/${mine}`)).body.operation.state, "undone");
    assert.equal((await ask(server, ADMIN, `/${mine}/cancel`, "POST")).status, 409);
    assert.equal((await ask(server, ADMIN, "/nope/cancel", "POST")).status, 404);
  });

  test("wait answers when the operation ends, or when the time is over", async () => {
    const { bench, server, mine } = await start();
    assert.equal((await ask(server, READER, `/${mine}/wait?timeout=0.01`)).body.operation.state, "waiting");
    const answer = ask(server, READER, `/${mine}/wait?timeout=20`);
    await bench.signal(mine, "go");
    await bench.drain();
    assert.equal((await answer).body.operation.state, "done");
  });

  test("the live streams tell every change", async () => {
    const { bench, server, mine, foreign } = await start();
    const address = await server.listen({ host: "127.0.0.1", port: 0 });
    const stream = (path: string, token: string) =>
      fetch(`${address}/v1/operations${path}`, { headers: { "x-auth-token": token } });
    const one = await stream(`/${mine}/events`, READER);
    assert.equal(one.headers.get("content-type"), "text/event-stream");
    const all = await stream("/events", READER);
    const reader = all.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (const id of [foreign, mine]) await bench.signal(id, "go");
    await bench.drain();
    const text = await one.text();
    assert.match(text, /"state":"waiting"[\s\S]*"state":"done"/);
    let seen = "";
    while (!seen.includes('"state":"done"')) {
      const chunk = await reader?.read();
      assert.ok(chunk && !chunk.done);
      seen += chunk.value;
    }
    await reader?.cancel();
    assert.equal(seen.includes(foreign), false);
  });
});
