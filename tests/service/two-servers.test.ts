import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ServerProgram, startServer } from "../../apps/server/program.ts";
import { type Simulation, simulateHosts } from "../../apps/server/simulation.ts";
import { testSettings } from "../../apps/server/testing/test-settings.ts";
import { openPostgres, type TestStore } from "../../kernel/store/testing/stores.ts";

const PASSWORD = "two-servers";
const skip = process.env.PILEUS_TEST_POSTGRES ? false : "PILEUS_TEST_POSTGRES names no server; npm test starts one";

/** Two server processes' worth of program on one database, the hosts attached to the first. */
describe("two servers on one PostgreSQL", { skip }, () => {
  let database: TestStore;
  let folder: string;
  let first: ServerProgram;
  let second: ServerProgram;
  let simulation: Simulation;

  before(async () => {
    database = await openPostgres([]);
    folder = await mkdtemp(join(tmpdir(), "pileus-two-"));
    first = await startServer(testSettings(folder, { database: database.url, adminPassword: PASSWORD }));
    second = await startServer(testSettings(folder, { database: database.url, adminPassword: PASSWORD }));
    simulation = await simulateHosts(first, 2, 1000);
    await first.seedSimulatedImage();
  });

  after(async () => {
    await simulation?.close();
    await second?.stop();
    await first?.stop();
    await database?.dispose();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  test("a token of one is good at the other, and revoked at both", async () => {
    const token = await login(first);
    assert.equal((await call(second, token, "GET", "/compute/v2.1/flavors")).status, 200);
    const revoked = await fetch(`${second.address}/identity/v3/auth/tokens`, {
      method: "DELETE",
      headers: { "x-auth-token": token, "x-subject-token": token },
    });
    assert.equal(revoked.status, 204);
    await until(async () => (await call(first, token, "GET", "/compute/v2.1/flavors")).status === 401);
  });

  test("a server that one accepted is built, whoever carries it out, and migrated through the other", async () => {
    const token = await login(second);
    const created = await call(second, token, "POST", "/compute/v2.1/servers", {
      server: await serverBody(second, token),
    });
    assert.equal(created.status, 202, JSON.stringify(created.body));
    const { id } = (created.body as { server: { id: string } }).server;
    await until(async () => (await show(first, token, id)).status === "ACTIVE");
    const before = (await show(first, token, id))["OS-EXT-SRV-ATTR:host"];
    const action = { "os-migrateLive": { host: null, block_migration: false, disk_over_commit: false } };
    const auto = { "os-migrateLive": { ...action["os-migrateLive"], block_migration: true } };
    assert.equal((await call(second, token, "POST", `/compute/v2.1/servers/${id}/action`, auto)).status, 202);
    await until(async () => {
      const server = await show(first, token, id);
      return server.status === "ACTIVE" && server["OS-EXT-SRV-ATTR:host"] !== before;
    });
  });
});

async function login(server: ServerProgram): Promise<string> {
  const domain = { id: "default" };
  const reply = await fetch(`${server.address}/identity/v3/auth/tokens`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      auth: {
        identity: { methods: ["password"], password: { user: { name: "admin", domain, password: PASSWORD } } },
        scope: { project: { name: "admin", domain } },
      },
    }),
  });
  assert.equal(reply.status, 201);
  return reply.headers.get("x-subject-token") ?? "";
}

async function call(server: ServerProgram, token: string, method: string, path: string, body?: unknown) {
  const reply = await fetch(`${server.address}${path}`, {
    method,
    headers: { "x-auth-token": token, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  return { status: reply.status, body: text === "" ? null : (JSON.parse(text) as unknown) };
}

async function serverBody(server: ServerProgram, token: string) {
  const { body } = await call(server, token, "GET", "/image/v2/images?name=pileus-guest");
  const [image] = (body as { images: { id: string }[] }).images;
  return { name: "one", flavorRef: "1", imageRef: image?.id };
}

async function show(server: ServerProgram, token: string, id: string): Promise<Record<string, unknown>> {
  const { body } = await call(server, token, "GET", `/compute/v2.1/servers/${id}`);
  return (body as { server: Record<string, unknown> }).server;
}

/** Looks again whenever a turn of the program's work may have changed the answer; gives up after a limit. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 600; looks += 1) if (await holds()) return;
  assert.fail("it did not become true");
}
