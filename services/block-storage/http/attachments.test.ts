import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Answer, type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { silentLogger } from "../../../kernel/log/logger.ts";
import { OperationRunner } from "../../../kernel/operations/runner.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { listOperations } from "../operations/block-storage-operations.ts";
import { SimulatedArrays } from "../operations/testing/simulated-arrays.ts";
import { reserve } from "../store/attaching.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

const SERVER = "31c79baf-b59e-469f-979c-1df4ecb6eea7";
const NOBODY = "00000000-0000-4000-8000-000000000000";
const CONNECTOR = { host: "client", ip: "192.168.1.20", mountpoint: "/dev/vdb" };
const BACKEND = "host-1@shared";

describe("attachments", () => {
  let world: BlockStorageWorld;
  let arrays: SimulatedArrays;
  let runner: OperationRunner;
  let dispose: () => Promise<void>;
  let volumeId = "";
  before(async () => {
    world = await blockStorageWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
    await world.givenBackend(BACKEND);
  });
  beforeEach(async () => {
    arrays = new SimulatedArrays();
    const { store, clock, deps } = world;
    const definitions = listOperations(deps.operations);
    runner = new OperationRunner({ store, clock, log: silentLogger, callers: arrays.callers, definitions, owner: "t" });
    volumeId = await given();
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const given = async (volume: Parameters<BlockStorageWorld["givenVolume"]>[0] = {}) => {
    const { id } = await world.givenVolume(volume);
    arrays.of(BACKEND).volumes.set(id, { sizeGiB: 1, replicated: false, source: "empty" });
    return id;
  };
  /** Asks, and lets the operations that the answer waits for be carried out. */
  const ask = async (who: Person, method: string, path: string, body?: unknown, version = "3.71"): Promise<Answer> => {
    let answered = false;
    const asking = world.ask(who, method, path, { version, ...(body === undefined ? {} : { body }) });
    const answer = asking.finally(() => {
      answered = true;
    });
    while (!answered) {
      await runner.drain();
      await setImmediate();
    }
    return await answer;
  };
  const create = async (attachment: Record<string, unknown> = {}, version?: string) =>
    await ask("member", "POST", "/attachments", { attachment: { volume_uuid: volumeId, ...attachment } }, version);
  const act = (body: unknown, who: Person = "member") => ask(who, "POST", `/volumes/${volumeId}/action`, body);
  const accepted = async (body: unknown, status = 202) => {
    const answer = await act(body);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    return answer.body;
  };
  const refused = async (body: unknown, status = 400) => assert.equal((await act(body)).status, status);
  const state = async () => {
    const { status, attach_status } = await world.volume(volumeId);
    return [status, attach_status, arrays.of(BACKEND).served.has(volumeId) ? "served" : "not served"];
  };
  const shown = async (who: Person = "member") => (await ask(who, "GET", `/volumes/${volumeId}`)).body.volume;

  it("reserve, connect, complete and go", async () => {
    const { status, body } = await create({ instance_uuid: SERVER });
    assert.equal(status, 200, JSON.stringify(body));
    const { id } = body.attachment;
    assert.deepEqual(body.attachment, {
      id,
      status: "reserved",
      instance: SERVER,
      volume_id: volumeId,
      attached_at: "",
      detached_at: "",
      attach_mode: "null",
      connection_info: {},
    });
    assert.deepEqual(await state(), ["reserved", "detached", "not served"]);
    assert.deepEqual((await shown()).attachments, []);

    const updated = await ask("member", "PUT", `/attachments/${id}`, { attachment: { connector: CONNECTOR } });
    assert.equal(updated.status, 200, JSON.stringify(updated.body));
    assert.equal(updated.body.attachment.status, "attaching");
    assert.equal(updated.body.attachment.attach_mode, "rw");
    assert.deepEqual(updated.body.attachment.connection_info, {
      kind: "unix",
      path: `/run/${volumeId}`,
      export: volumeId,
      access_mode: "rw",
      encrypted: false,
      qos_specs: null,
      driver_volume_type: "nbd",
      attachment_id: id,
      volume_id: volumeId,
    });
    assert.deepEqual(await state(), ["attaching", "detached", "served"]);

    const completed = await ask("member", "POST", `/attachments/${id}/action`, { "os-complete": null });
    assert.equal(completed.status, 204);
    assert.deepEqual(await state(), ["in-use", "attached", "served"]);
    const volume = await shown("admin");
    assert.deepEqual(volume.metadata, { attached_mode: "rw" });
    const [attachment] = volume.attachments;
    const { attached_at: at, ...rest } = attachment;
    assert.ok(at);
    assert.deepEqual(rest, {
      id: volumeId,
      attachment_id: id,
      volume_id: volumeId,
      server_id: SERVER,
      host_name: "client",
      device: "/dev/vdb",
    });
    assert.equal((await shown()).attachments[0].host_name, null);
    assert.equal((await ask("member", "DELETE", `/volumes/${volumeId}`)).status, 400);

    const gone = await ask("member", "DELETE", `/attachments/${id}`);
    assert.deepEqual([gone.status, gone.body], [200, { attachments: [] }]);
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
    assert.deepEqual((await shown()).metadata, {});
  });

  it("connect as they are made", async () => {
    const { status, body } = await create({ instance_uuid: SERVER, connector: { ...CONNECTOR, mode: "ro" } });
    assert.equal(status, 200);
    assert.deepEqual([body.attachment.status, body.attachment.attach_mode], ["attaching", "ro"]);
    assert.deepEqual(await state(), ["attaching", "detached", "served"]);
  });

  it("leave nothing when the backend refuses", async () => {
    arrays.of(BACKEND).refusal = new CloudError("conflict", "storage.failed_over", "No copy is there.");
    const { status } = await create({ connector: CONNECTOR });
    assert.equal(status, 409);
    arrays.of(BACKEND).refusal = null;
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
  });

  it("are told when an administrator ends the work for the volume", async () => {
    const body = { attachment: { volume_uuid: volumeId, connector: CONNECTOR } };
    const asking = world.ask("member", "POST", "/attachments", { version: "3.71", body });
    while ((await world.volume(volumeId)).status !== "reserved") await setImmediate();
    const reset = { "os-reset_status": { status: "available", attach_status: "detached" } };
    assert.equal((await world.ask("admin", "POST", `/volumes/${volumeId}/action`, { body: reset })).status, 202);
    const answer = await asking;
    assert.equal(answer.status, 409, JSON.stringify(answer.body));
    assert.match(answer.body.conflictingRequest.message, /given up/);
  });

  it("keep the volume where the backend does not let go", async () => {
    const { body } = await create({ connector: CONNECTOR });
    await ask("member", "POST", `/attachments/${body.attachment.id}/action`, { "os-complete": null });
    arrays.of(BACKEND).refusal = new CloudError("conflict", "storage.volume_in_use", "No.");
    assert.equal((await ask("member", "DELETE", `/attachments/${body.attachment.id}`)).status, 400);
    assert.deepEqual(await state(), ["in-use", "attached", "served"]);
  });

  it("are listed with filters, for administrators everywhere", async () => {
    const { body } = await create({ instance_uuid: SERVER });
    const { id } = body.attachment;
    const ids = async (who: Person, query: string) => {
      const answer = await ask(who, "GET", `/attachments${query}`);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      return answer.body.attachments.map((one: { id: string }) => one.id);
    };
    assert.deepEqual(await ids("member", `?volume_id=${volumeId}`), [id]);
    assert.deepEqual(await ids("member", `?volume_id=${volumeId}&instance_id=${NOBODY}`), []);
    assert.deepEqual(await ids("reader", `?volume_id=${volumeId}&attach_status=reserved`), [id]);
    assert.deepEqual(await ids("member", `?volume_id=${volumeId}&status=attached`), []);
    assert.deepEqual(await ids("stranger", `?volume_id=${volumeId}`), []);
    assert.deepEqual(await ids("admin", `/detail?all_tenants=1&volume_id=${volumeId}&project_id=${PROJECT}`), [id]);
    const [summary] = (await ask("member", "GET", `/attachments?volume_id=${volumeId}`)).body.attachments;
    assert.deepEqual(Object.keys(summary).toSorted(), ["id", "instance", "status", "volume_id"]);
  });

  it("are refused where they cannot be", async () => {
    assert.equal((await create({}, "3.26")).status, 404);
    assert.equal((await create({ mode: "ro" }, "3.53")).status, 400);
    assert.equal((await create({ volume_uuid: NOBODY })).status, 404);
    const stranger = { attachment: { volume_uuid: volumeId } };
    assert.equal((await ask("stranger", "POST", "/attachments", stranger)).status, 404);
    assert.equal((await ask("reader", "POST", "/attachments", stranger)).status, 403);
    const { body } = await create();
    assert.equal((await create()).status, 400, "a volume that is reserved");
    const path = `/attachments/${body.attachment.id}`;
    assert.equal((await ask("stranger", "GET", path)).status, 404);
    assert.equal((await ask("member", "GET", `/attachments/${NOBODY}`)).status, 404);
    assert.equal((await ask("member", "PUT", path, { attachment: { connector: {} } })).status, 400);
    assert.equal((await ask("member", "POST", `${path}/action`, { "os-complete": null })).status, 400);
    assert.equal((await ask("member", "POST", `${path}/action`, { "os-complete": null }, "3.43")).status, 404);
    assert.equal((await ask("member", "DELETE", path)).status, 200);
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
  });

  it("keep a volume from being written that is for reading only", async () => {
    await accepted({ "os-update_readonly_flag": { readonly: true } });
    assert.deepEqual((await shown()).metadata, { readonly: "True" });
    assert.equal((await create({ mode: "rw" })).status, 400);
    const { body } = await create({ connector: CONNECTOR });
    assert.equal(body.attachment.attach_mode, "ro");
    await refused({ "os-update_readonly_flag": { readonly: false } });
  });

  it("of Compute's are changed by Compute alone", async () => {
    const wanted = { volumeId, serverId: SERVER, mode: null, heldByCompute: true };
    const { id } = await world.store.tx((t) => reserve(t, world, wanted));
    const path = `/attachments/${id}`;
    assert.equal((await ask("admin", "DELETE", path)).status, 409);
    assert.equal((await ask("admin", "PUT", path, { attachment: { connector: CONNECTOR } })).status, 409);
    assert.equal((await ask("admin", "POST", `${path}/action`, { "os-complete": null })).status, 409);
    for (const body of [
      { "os-terminate_connection": { connector: null } },
      { "os-detach": {} },
      { "os-begin_detaching": null },
      { "os-force_detach": { attachment_id: id } },
    ])
      assert.equal((await act(body, "admin")).status, 409, JSON.stringify(body));
  });

  it("of a server that Compute has no more are cut by an administrator's force, and by nobody else", async () => {
    const serverId = world.ids.uuid();
    const wanted = { volumeId, serverId, mode: null, heldByCompute: true };
    const { id } = await world.store.tx((t) => reserve(t, world, wanted));
    arrays.of(BACKEND).served.add(volumeId);
    assert.equal((await act({ "os-force_detach": { attachment_id: id } }, "admin")).status, 409);
    world.gone.add(serverId);
    assert.equal((await act({ "os-detach": {} }, "admin")).status, 409);
    assert.equal((await ask("admin", "DELETE", `/attachments/${id}`)).status, 409);
    assert.equal((await act({ "os-force_detach": { attachment_id: id } }, "admin")).status, 202);
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
  });

  it("in the older way", async () => {
    await accepted({ "os-reserve": null });
    assert.deepEqual(await state(), ["attaching", "detached", "not served"]);
    await refused({ "os-reserve": null });
    const { connection_info } = await accepted({ "os-initialize_connection": { connector: CONNECTOR } }, 200);
    assert.equal(connection_info.driver_volume_type, "nbd");
    assert.equal(connection_info.data.export, volumeId);
    assert.deepEqual(await state(), ["attaching", "detached", "served"]);
    await refused({ "os-attach": { mountpoint: "/dev/vdb" } });
    await accepted({ "os-attach": { mountpoint: "/dev/vdb", host_name: "client", mode: "rw" } });
    assert.deepEqual(await state(), ["in-use", "attached", "served"]);
    await accepted({ "os-begin_detaching": null });
    await refused({ "os-begin_detaching": null });
    await accepted({ "os-roll_detaching": null });
    await accepted({ "os-begin_detaching": null });
    assert.deepEqual(await state(), ["detaching", "attached", "served"]);
    await accepted({ "os-terminate_connection": { connector: CONNECTOR } });
    assert.deepEqual(await state(), ["detaching", "attached", "not served"]);
    await accepted({ "os-detach": {} });
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
    assert.deepEqual((await shown()).attachments, []);
  });

  it("in the older way, given up", async () => {
    await accepted({ "os-reserve": null });
    await accepted({ "os-initialize_connection": { connector: CONNECTOR } }, 200);
    await accepted({ "os-unreserve": null });
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
    await refused({ "os-unreserve": null });
    await refused({ "os-detach": {} });
    assert.equal((await act({ "os-force_detach": {} }, "admin")).status, 400);
    assert.equal((await act({ "os-force_detach": {} })).status, 403);
  });

  it("are cut by an administrator's force", async () => {
    await accepted({ "os-attach": { mountpoint: "/dev/vdb", instance_uuid: SERVER } });
    arrays.of(BACKEND).served.add(volumeId);
    assert.equal((await act({ "os-force_detach": { attachment_id: NOBODY } }, "admin")).status, 400);
    assert.equal((await act({ "os-force_detach": { connector: null } }, "admin")).status, 202);
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
  });

  it("are cut by force from a volume that an administrator had put in error", async () => {
    await accepted({ "os-attach": { mountpoint: "/dev/vdb", instance_uuid: SERVER } });
    arrays.of(BACKEND).served.add(volumeId);
    assert.equal((await act({ "os-reset_status": { status: "error" } }, "admin")).status, 202);
    assert.equal((await act({ "os-force_detach": { connector: null } }, "admin")).status, 202);
    assert.deepEqual(await state(), ["available", "detached", "not served"]);
  });
});
