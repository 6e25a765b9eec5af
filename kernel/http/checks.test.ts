import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { InjectOptions } from "fastify";
import { ADMIN, exampleServer, PROJECT, READER, tokens } from "./testing.ts";

const server = exampleServer();
after(() => server.close());

const VERSION = "openstack-api-version";
const ACTION = "/compute/v2.1/servers/11111111-1111-4111-8111-111111111111/action";

async function ask(options: InjectOptions) {
  const reply = await server.inject(options);
  return { status: reply.statusCode, headers: reply.headers, text: reply.body };
}

const act = (payload: unknown, headers: Record<string, string> = tokens(ADMIN)) =>
  ask({ method: "POST", url: ACTION, headers, payload: payload as object });

describe("the order of the checks decides which error wins", () => {
  it("413: a large body, even without a token", async () => {
    const reply = await ask({ method: "POST", url: ACTION, payload: { migrate: "x".repeat(120_000) } });
    assert.equal(reply.status, 413);
    assert.equal(JSON.parse(reply.text).overLimit.code, 413);
  });

  it("401: no token, before a bad body; identity's form with the challenge, no version headers", async () => {
    const reply = await ask({
      method: "POST",
      url: ACTION,
      payload: "{nonsense",
      headers: { host: "cloud.example", "content-type": "application/json" },
    });
    assert.equal(reply.status, 401);
    assert.equal(JSON.parse(reply.text).error.title, "Unauthorized");
    assert.equal(reply.headers["www-authenticate"], 'Keystone uri="http://cloud.example/identity/v3"');
    assert.equal(reply.headers[VERSION], undefined);
    assert.match(String(reply.headers["x-compute-request-id"]), /^req-/);
  });

  it("401: an unknown token", async () => {
    const reply = await ask({ method: "GET", url: "/compute/v2.1/servers", headers: tokens("no") });
    assert.equal(reply.status, 401);
    assert.equal(JSON.parse(reply.text).error.code, 401);
  });

  it("401 before 404 on a path that is not routed, then the framework's 404", async () => {
    assert.equal((await ask({ method: "GET", url: "/compute/v2.1/nothing" })).status, 401);
    const reply = await ask({ method: "GET", url: "/compute/v2.1/nothing", headers: tokens(READER) });
    assert.equal(reply.status, 404);
    assert.equal(JSON.parse(reply.text).code, "404 Not Found");
    assert.equal(reply.headers[VERSION], undefined);
  });

  it("404 for a known path with another method", async () => {
    const reply = await ask({ method: "PATCH", url: "/compute/v2.1/servers", headers: tokens(READER) });
    assert.equal(reply.status, 404);
  });

  it("406 before 415", async () => {
    const reply = await act("x", tokens(ADMIN, { [VERSION]: "compute 2.999", "content-type": "application/xml" }));
    assert.equal(reply.status, 406);
    assert.equal(JSON.parse(reply.text).computeFault.code, 406);
    assert.equal(reply.headers[VERSION], "compute 2.999");
  });

  it("415: a foreign content type, and one that is no media type at all", async () => {
    for (const type of ["application/xml", "nonsense"]) {
      const reply = await act("{}", tokens(ADMIN, { "content-type": type }));
      assert.equal(reply.status, 415, type);
      assert.ok(JSON.parse(reply.text).badMediaType);
    }
  });

  it("takes text/plain, none and a charset as JSON", async () => {
    for (const type of ["text/plain", "application/json; charset=utf-8", "application/vnd.openstack.compute+json"]) {
      assert.equal((await act('{"migrate":null}', tokens(ADMIN, { "content-type": type }))).status, 202, type);
    }
    const reply = await ask({
      method: "POST",
      url: ACTION,
      headers: tokens(ADMIN, { "content-type": "" }),
      payload: '{"migrate":null}',
    });
    assert.equal(reply.status, 202);
  });

  it("400: no JSON, no body, no object, no key, two keys, an unknown action", async () => {
    const json = tokens(ADMIN, { "content-type": "application/json" });
    for (const body of ["{", "", "null", "[]", '"migrate"', "{}", '{"migrate":null,"lock":null}', '{"dance":null}']) {
      const reply = await ask({ method: "POST", url: ACTION, headers: json, payload: body });
      assert.equal(reply.status, 400, body);
      assert.equal(JSON.parse(reply.text).badRequest.code, 400, body);
    }
  });

  it("400 for an unknown action before 400 for a foreign project, that before 404 for the version", async () => {
    const foreign = ACTION.replace("v2.1", "v2.1/ffffffffffffffffffffffffffffffff");
    const reply = await ask({ method: "POST", url: foreign, headers: tokens(ADMIN), payload: { suspended: null } });
    assert.equal(reply.status, 400);
    assert.match(reply.text, /project/);
    assert.equal((await act({ suspended: null })).status, 404);
  });

  it("404 with the envelope outside the range of versions, 202 inside", async () => {
    for (const [version, status] of [
      ["2.29", 404],
      ["2.30", 202],
      ["2.40", 202],
      ["2.41", 404],
    ] as const) {
      const reply = await act({ suspended: null }, tokens(ADMIN, { [VERSION]: `compute ${version}` }));
      assert.equal(reply.status, status, version);
      if (status === 404) assert.ok(JSON.parse(reply.text).itemNotFound);
      assert.equal(reply.headers[VERSION], `compute ${version}`);
    }
  });

  it("400 for the schema before 403 for the policy; the message names attribute, value and constraint", async () => {
    const at256 = { [VERSION]: "compute 2.56" };
    const bad = await act({ migrate: { host: "a/b" } }, tokens(READER, at256));
    assert.equal(bad.status, 400);
    assert.match(JSON.parse(bad.text).badRequest.message, /migrate\.host.*a\/b.*pattern/);
    const denied = await act({ migrate: { host: "a.b" } }, tokens(READER, at256));
    assert.equal(denied.status, 403);
    assert.match(JSON.parse(denied.text).forbidden.message, /admin/);
    assert.equal((await act({ migrate: { host: "a.b" } }, tokens(ADMIN, at256))).status, 202);
    assert.equal((await act({ migrate: { host: "a.b" } })).status, 400, "below 2.56 there is no host");
  });
});

describe("microversions", () => {
  const list = (headers: Record<string, string>) =>
    ask({ method: "GET", url: "/compute/v2.1/servers", headers: tokens(READER, headers) });

  it("picks the last entry of the service's type, any case, then the other header, then the default", async () => {
    for (const [headers, version] of [
      [{}, "2.1"],
      [{ [VERSION]: "compute 2.7" }, "2.7"],
      [{ [VERSION]: "volume 3.59, COMPUTE 2.79, compute 2.80" }, "2.80"],
      [{ [VERSION]: "volume 3.59" }, "2.1"],
      [{ [VERSION]: "volume 3.59", "x-openstack-nova-api-version": "2.5" }, "2.5"],
      [{ [VERSION]: "compute 2.6", "x-openstack-nova-api-version": "2.5" }, "2.6"],
      [{ "x-openstack-nova-api-version": "latest" }, "2.104"],
    ] as const) {
      const reply = await list(headers);
      assert.equal(reply.status, 200);
      assert.equal(reply.headers[VERSION], `compute ${version}`);
      assert.equal(reply.headers["x-openstack-nova-api-version"], version);
    }
  });

  it("400 without version headers for a malformed one", async () => {
    for (const text of ["compute", "compute 2", "compute 2.01", "compute 2.x", "compute 2.1 3", "compute -2.1"]) {
      const reply = await list({ [VERSION]: text });
      assert.equal(reply.status, 400, text);
      assert.equal(reply.headers[VERSION], undefined, text);
    }
  });

  it("406 that names the versions", async () => {
    const reply = await list({ [VERSION]: "compute 3.0" });
    assert.equal(reply.status, 406);
    assert.match(JSON.parse(reply.text).computeFault.message, /3\.0.*2\.1.*2\.104/);
  });
});

describe("paths and queries", () => {
  it("takes the project id of the token in the path, and a slash at the end", async () => {
    for (const url of ["/compute/v2.1/servers/", `/compute/v2.1/${PROJECT}/servers`]) {
      assert.equal((await ask({ method: "GET", url, headers: tokens(READER) })).status, 200, url);
    }
  });

  it("400 for another project, 404 when the part cannot be a project id", async () => {
    const get = (part: string) => ask({ method: "GET", url: `/compute/v2.1/${part}/servers`, headers: tokens(READER) });
    assert.equal((await get("abc")).status, 400);
    assert.equal((await get("xyz")).status, 404);
  });

  it("converts queries by the schema", async () => {
    const url = "/compute/v2.1/servers?limit=5&sort_key=a&sort_key=b&deleted=YES&what=ever";
    const reply = await ask({ method: "GET", url, headers: tokens(READER) });
    assert.deepEqual(JSON.parse(reply.text), { servers: [], limit: 5, sort_key: ["a", "b"] });
  });

  it("400 for bad values, and for unknown keys from the strict version on", async () => {
    const get = (query: string, version = "2.1") => {
      const headers = tokens(READER, { [VERSION]: `compute ${version}` });
      return ask({ method: "GET", url: `/compute/v2.1/servers?${query}`, headers });
    };
    for (const query of ["limit=-1", "limit=x", "limit=", "limit=1.5", "deleted=maybe", "limit=99999999999999999999"]) {
      assert.equal((await get(query)).status, 400, query);
    }
    assert.equal((await get("what=1", "2.74")).status, 200);
    assert.equal((await get("what=1", "2.75")).status, 400);
  });

  it("400 for broken escapes and NUL, never 500", async () => {
    for (const url of [ACTION.replace("1111-4111", "%zz"), ACTION.replace("1111-4111", "%00")]) {
      const reply = await ask({ method: "POST", url, headers: tokens(ADMIN), payload: { migrate: null } });
      assert.equal(reply.status, 400, url);
      assert.ok(JSON.parse(reply.text).badRequest, url);
    }
  });

  it("never answers 5xx to an odd body", async () => {
    const json = tokens(READER, { "content-type": "application/json" });
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const bodies = ['{"server":{"name":"a\\u0000"}}', '{"__proto__":{}}', deep, "1e999", '{"server":null}'];
    for (const payload of [...bodies, Buffer.from([0x7b, 0xff, 0x7d])]) {
      const reply = await ask({ method: "POST", url: "/compute/v2.1/servers", headers: json, payload });
      assert.equal(reply.status, 400, String(payload).slice(0, 40));
    }
  });

  it("refuses names that are blank, too long or unprintable", async () => {
    const create = (name: unknown) =>
      ask({ method: "POST", url: "/compute/v2.1/servers", headers: tokens(READER), payload: { server: { name } } });
    for (const name of ["", "  ", "x".repeat(256), "a\u0007b", "line\nline", 5, null]) {
      assert.equal((await create(name)).status, 400, JSON.stringify(name));
    }
    assert.equal((await create("ä name 服务器")).status, 202);
  });
});

describe("answers", () => {
  it("500 when a handler asks no rule", async () => {
    const reply = await ask({ method: "GET", url: "/compute/v2.1/forgetful", headers: tokens(READER) });
    assert.equal(reply.status, 500);
    assert.equal(JSON.parse(reply.text).computeFault.message, "An unexpected error occurred.");
  });

  it("an empty 202 has no body, an empty Accept is fine", async () => {
    const reply = await act({ migrate: null }, tokens(ADMIN, { accept: "" }));
    assert.equal(reply.status, 202);
    assert.equal(reply.text, "");
    assert.equal(reply.headers["content-length"], "0");
  });

  it("HEAD answers as GET without the body", async () => {
    const reply = await ask({ method: "HEAD", url: "/compute/v2.1/servers", headers: tokens(READER) });
    assert.equal(reply.status, 200);
    assert.equal(reply.text, "");
    assert.equal(reply.headers["content-length"], String('{"servers":[]}'.length));
  });

  it("gives each request an id of its own, whatever the client sends", async () => {
    const mine = "req-11111111-1111-4111-8111-111111111111";
    const headers = tokens(READER, { "x-openstack-request-id": mine });
    const reply = await ask({ method: "GET", url: "/compute/v2.1/servers", headers });
    assert.match(String(reply.headers["x-openstack-request-id"]), /^req-/);
    assert.notEqual(reply.headers["x-openstack-request-id"], mine);
    assert.equal(reply.headers["x-compute-request-id"], reply.headers["x-openstack-request-id"]);
  });
});
