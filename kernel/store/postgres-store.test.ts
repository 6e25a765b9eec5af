import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { ManualClock } from "../clock/manual-clock.ts";
import { type Logger, silentLogger } from "../log/logger.ts";
import { PostgresStore } from "./postgres-store.ts";
import { RESYNC_CHANNEL } from "./store.ts";
import { openPostgres, terminateListeners } from "./testing/stores.ts";

const skip = process.env.PILEUS_TEST_POSTGRES ? false : "PILEUS_TEST_POSTGRES names no server; npm test starts one";

/** Looks again and again, for five seconds at most. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 500, "what was waited for did not happen");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The way to a database that a test can close. */
async function gatewayTo(url: string) {
  const { hostname, port } = new URL(url);
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) open.add(socket.on("error", () => {}));
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const target = new URL(url);
  // Not over the server's socket.
  target.search = "";
  target.port = String(typeof address === "object" && address ? address.port : 0);
  return {
    url: target.href,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

test("whoever lost notifications with the connection is told so, once listening again", { skip }, async () => {
  const bench = await openPostgres([]);
  const clock = new ManualClock();
  const store = await PostgresStore.open({ url: bench.url, log: silentLogger, clock });
  try {
    const heard: string[] = [];
    const resynced = new Promise<void>((resolve) => store.listen(RESYNC_CHANNEL, () => resolve()));
    store.listen("c", (payload) => heard.push(payload));
    await terminateListeners(bench.store);
    await until(() => clock.pendingTimers === 1);
    const witness = await bench.again();
    const sent = new Promise<void>((resolve) => witness.listen("c", () => resolve()));
    await bench.store.tx(async (t) => t.notify("c", "lost"));
    await sent;
    clock.advance(1000);
    await resynced;
    const told = new Promise<void>((resolve) => store.listen("c", () => resolve()));
    await bench.store.tx(async (t) => t.notify("c", "heard"));
    await told;
    assert.deepEqual(heard, ["heard"]);
  } finally {
    await store.close();
    await bench.dispose();
  }
});

test("while the database is away there is one attempt a second, and none after closing", { skip }, async () => {
  const bench = await openPostgres([]);
  const clock = new ManualClock();
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_fields, message) => void warnings.push(message), with: () => log };
  const gateway = await gatewayTo(bench.url);
  const store = await PostgresStore.open({ url: gateway.url, log, clock });
  try {
    gateway.close();
    for (let second = 1; second <= 7; second += 1) {
      await until(() => clock.pendingTimers > 0);
      assert.equal(clock.pendingTimers, 1, `second ${second}`);
      clock.advance(1000);
    }
    await until(() => clock.pendingTimers > 0);
    assert.ok(warnings.length < 20, `${warnings.length} warnings`);
  } finally {
    await store.close();
    assert.equal(clock.pendingTimers, 0);
    await bench.dispose();
  }
});

test("a store that cannot be opened leaves nothing behind", async () => {
  const clock = new ManualClock();
  const options = { url: "postgres://nobody@127.0.0.1:1/none", log: silentLogger, clock };
  const connections = () => process.getActiveResourcesInfo().filter((resource) => resource.startsWith("TCP")).length;
  const before = connections();
  await assert.rejects(PostgresStore.open(options));
  await until(() => connections() <= before);
  assert.equal(clock.pendingTimers, 0);
});
