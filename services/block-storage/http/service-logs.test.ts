import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { sample } from "../testing/samples.ts";

describe("log levels of services", () => {
  let world: BlockStorageWorld;
  let dispose: () => Promise<void>;
  before(async () => {
    world = await blockStorageWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    await world.givenScheduler("server");
    await world.givenScheduler("other");
    await world.givenBackend("host-1@shared", { cluster: "pileus@shared" });
    await world.givenBackend("host-1@local");
    await world.givenBackend("host-2@shared", { cluster: "pileus@shared" });
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const put = (path: string, body: unknown, version = "3.32") =>
    world.ask("admin", "PUT", `/os-services/${path}`, { body, version });
  interface Entry {
    readonly binary: string;
    readonly host: string;
    readonly levels: Readonly<Record<string, string>>;
  }
  const levels = async (body: unknown): Promise<Entry[]> => (await put("get-log", body)).body.log_levels;
  const who = async (body: unknown) => (await levels(body)).map(({ binary, host }) => `${binary} ${host}`);

  it("tells those of every living service, and of this API", async () => {
    const everything = [
      "cinder-api server",
      "cinder-scheduler server",
      "cinder-scheduler other",
      "cinder-volume host-1@shared",
      "cinder-volume host-1@local",
      "cinder-volume host-2@shared",
    ];
    for (const body of [{}, { binary: "" }, { binary: "*", server: "", prefix: "" }, { server: null, prefix: null }])
      assert.deepEqual(await who(body), everything);
    const [api] = (sample("os-services/v3.32/service-get-log-response") as { log_levels: unknown[] }).log_levels;
    assert.deepEqual(Object.keys((await levels({}))[0] ?? {}).toSorted(), Object.keys(api ?? {}).toSorted());
    sameShape((await levels({ prefix: "storage" }))[0]?.levels, { "storage.driver": "INFO" });
  });

  it("finds services by host, cluster and binary", async () => {
    assert.deepEqual(await who({ server: "host-1" }), ["cinder-volume host-1@shared", "cinder-volume host-1@local"]);
    assert.deepEqual(await who({ server: "pileus" }), ["cinder-volume host-1@shared", "cinder-volume host-2@shared"]);
    assert.deepEqual(await who({ server: "server" }), ["cinder-api server", "cinder-scheduler server"]);
    assert.deepEqual(await who({ binary: "cinder-api" }), ["cinder-api server"]);
    assert.deepEqual(await who({ binary: "cinder-api", server: "host-1" }), []);
    assert.deepEqual(await who({ binary: "cinder-volume", server: "host-2" }), ["cinder-volume host-2@shared"]);
    assert.deepEqual(await who({ server: "nowhere" }), []);
    world.clock.advance(61_000);
    assert.deepEqual(await who({}), ["cinder-api server"]);
    for (const name of ["server", "other"]) await world.givenScheduler(name);
    for (const host of ["host-1@shared", "host-2@shared"]) await world.givenBackend(host, { cluster: "pileus@shared" });
    await world.givenBackend("host-1@local");
  });

  it("sets what the prefix covers where it is told to, and nothing else", async () => {
    const answer = await put("set-log", {
      binary: "cinder-volume",
      server: "host-1",
      prefix: "storage",
      level: "Debug",
    });
    assert.deepEqual([answer.status, answer.body], [202, undefined]);
    const set = (await levels({})).flatMap(({ binary, host, levels: own }) =>
      Object.entries(own).flatMap(([logger, level]) => (level === "DEBUG" ? [`${binary} ${host} ${logger}`] : [])),
    );
    assert.deepEqual(set, ["cinder-volume host-1@shared storage.driver", "cinder-volume host-1@local storage.driver"]);
    await put("set-log", { level: "ERROR" });
    assert.ok((await levels({})).every(({ levels: own }) => Object.values(own).every((level) => level === "ERROR")));
    await put("set-log", { binary: "cinder-scheduler", server: "other", level: "warning" });
    assert.deepEqual((await levels({ server: "other" }))[0]?.levels, {
      operations: "WARNING",
      "storage.driver": "WARNING",
    });
    assert.equal((await put("set-log", { server: "nowhere", level: "INFO" })).status, 202);
  });

  it("refuses levels, binaries and versions that it does not know", async () => {
    for (const body of [
      { level: "CRITICAL" },
      { level: null },
      { level: "" },
      { binary: "cinder-cat", level: "INFO" },
      { binary: null, level: "INFO" },
      { levels: "INFO" },
      {},
    ])
      assert.equal((await put("set-log", body)).status, 400, JSON.stringify(body));
    assert.equal((await put("set-log", { binary: "cinder-volume" })).status, 202);
    assert.equal((await put("get-log", { binary: "nova-compute" })).status, 400);
    assert.equal((await put("get-log", {}, "3.31")).body.itemNotFound.code, 404);
    assert.equal((await put("set-log", { level: "INFO" }, "3.31")).status, 404);
    const { status } = await world.ask("member", "PUT", "/os-services/get-log", { body: {}, version: "3.32" });
    assert.equal(status, 403);
  });

  it("fails when a service that should be there says nothing", async () => {
    world.logs.silent.add("host-2");
    assert.equal((await put("get-log", {})).body.computeFault.code, 500);
    assert.equal((await levels({ server: "host-1" })).length, 2);
    world.logs.silent.clear();
  });
});
