import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { qcow2Header } from "../../services/image/testing/image-world.ts";
import { type NetworkImageCloud, networkImageCloud } from "./support/network-image-cloud.ts";
import { cliMissing } from "./support/openstack-cli.ts";

interface ShownImage {
  readonly id: string;
  readonly status: string;
  readonly name: string;
  readonly visibility: string;
  readonly checksum: string;
  readonly size: number;
  readonly disk_format: string;
  readonly container_format: string;
  readonly min_disk: number;
  readonly min_ram: number;
  readonly protected: boolean;
  readonly tags: readonly string[];
  readonly properties: Readonly<Record<string, unknown>>;
}

describe("images, as the openstack client sees them", { skip: cliMissing }, () => {
  let cloud: NetworkImageCloud;
  const data = randomBytes(3_000_000);
  const md5 = createHash("md5").update(data).digest("hex");
  const file = (name: string) => join(cloud.folder, name);

  before(async () => {
    cloud = await networkImageCloud();
    await writeFile(file("disk.raw"), data);
    await writeFile(file("disk.qcow2"), qcow2Header(2 ** 30));
    await writeFile(file("linked.qcow2"), qcow2Header(2 ** 30, { backingFileAt: 512 }));
  });
  after(() => cloud.dispose());

  it("creates with data, shows, downloads and deletes", async () => {
    const created = await cloud.demo.json<ShownImage>([
      ...["image", "create", "--file", file("disk.raw"), "--disk-format", "raw", "--container-format", "bare"],
      ...["--min-disk", "1", "--min-ram", "64", "--property", "os_type=linux", "--tag", "red", "disk"],
    ]);
    const shown = await cloud.demo.json<ShownImage>(["image", "show", "disk"]);
    assert.deepEqual(
      [shown.id, shown.status, shown.size, shown.checksum, shown.disk_format, shown.min_disk, shown.min_ram],
      [created.id, "active", data.length, md5, "raw", 1, 64],
    );
    assert.deepEqual([shown.visibility, shown.protected, shown.tags], ["shared", false, ["red"]]);
    assert.equal(shown.properties.os_type, "linux");
    assert.equal(shown.properties.os_hash_algo, "sha512");
    await cloud.demo.ok(["image", "save", "--file", file("saved"), "disk"]);
    assert.ok((await readFile(file("saved"))).equals(data));
    await cloud.demo.ok(["image", "delete", "disk"]);
    const gone = await cloud.demo(["image", "show", created.id]);
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /No Image found|could not be found|Failed to find/i);
    assert.deepEqual(await readdir(cloud.imageDir), []);
  });

  it("changes and filters", async () => {
    const create = ["image", "create", "--disk-format", "qcow2", "--container-format", "bare"];
    await cloud.admin.ok([...create, "--public", "--file", file("disk.qcow2"), "public-disk"]);
    await cloud.demo.ok([...create, "--private", "--file", file("disk.qcow2"), "mine"]);
    await cloud.demo.ok([
      "image",
      "set",
      "--name",
      "renamed",
      "--property",
      "a=b",
      "--tag",
      "blue",
      "--protected",
      "mine",
    ]);
    const shown = await cloud.demo.json<ShownImage>(["image", "show", "renamed"]);
    assert.deepEqual([shown.properties.a, shown.tags, shown.protected, shown.status], ["b", ["blue"], true, "active"]);
    const refused = await cloud.demo(["image", "delete", "renamed"]);
    assert.match(refused.stderr, /protected/);
    await cloud.demo.ok(["image", "unset", "--property", "a", "--tag", "blue", "renamed"]);
    await cloud.demo.ok(["image", "set", "--unprotected", "renamed"]);
    const names = async (...args: string[]) =>
      (await cloud.demo.json<{ Name: string }[]>(["image", "list", ...args])).map((image) => image.Name);
    assert.deepEqual((await names()).sort(), ["public-disk", "renamed"]);
    assert.deepEqual(await names("--public"), ["public-disk"]);
    assert.deepEqual(await names("--private", "--long"), ["renamed"]);
    assert.deepEqual(await names("--status", "queued"), []);
    assert.deepEqual(await names("--sort", "name:desc", "--limit", "1"), ["renamed"]);
    const stranger = await cloud.demo(["image", "set", "--name", "x", "public-disk"]);
    assert.equal(stranger.code, 1);
    assert.match(stranger.stderr, /403|[Ff]orbidden/);
    const publish = await cloud.demo(["image", "set", "--public", "renamed"]);
    assert.match(publish.stderr, /403|[Ff]orbidden/);
    await cloud.demo.ok(["image", "delete", "renamed"]);
    await cloud.admin.ok(["image", "set", "--deactivate", "public-disk"]);
    assert.equal((await cloud.demo(["image", "save", "--file", file("none"), "public-disk"])).code, 1);
    await cloud.admin.ok(["image", "set", "--activate", "public-disk"]);
    await cloud.admin.ok(["image", "delete", "public-disk"]);
  });

  it("shares with another project", async () => {
    const create = ["image", "create", "--file", file("disk.raw"), "--disk-format", "raw", "--shared", "ours"];
    const image = await cloud.demo.json<ShownImage>(create);
    await cloud.demo.ok(["image", "add", "project", image.id, cloud.ids.adminProjectId]);
    const members = await cloud.demo.json<{ Status: string }[]>(["image", "member", "list", image.id]);
    assert.deepEqual(
      members.map((member) => member.Status),
      ["pending"],
    );
    await cloud.admin.ok(["image", "set", "--accept", image.id]);
    const accepted = await cloud.demo.json<{ Status: string }[]>(["image", "member", "list", image.id]);
    assert.deepEqual(
      accepted.map((member) => member.Status),
      ["accepted"],
    );
    await cloud.demo.ok(["image", "remove", "project", image.id, cloud.ids.adminProjectId]);
    await cloud.demo.ok(["image", "delete", image.id]);
  });

  it("refuses what would make a host read its own files", async () => {
    const create = ["image", "create", "--disk-format", "qcow2", "--file", file("linked.qcow2"), "linked"];
    const refused = await cloud.demo(create);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /400|backing file/);
    assert.deepEqual(await readdir(cloud.imageDir), []);
  });
});
