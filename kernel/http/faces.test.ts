import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { Type } from "typebox";
import { CloudError } from "../errors/cloud-error.ts";
import { errorEnvelope, frameworkEnvelope, htmlEnvelope, typedEnvelope } from "./envelopes.ts";
import type { Face } from "./face.ts";
import { pageBody, pageOf, pageQuery } from "./pagination.ts";
import { type Route, route } from "./route.ts";
import { exampleFace, exampleServer, PROJECT, READER, tokens } from "./testing.ts";

/** In the manner of Identity: HTML for strangers, 405, 400 for content types. */
const people: Face = {
  name: "people",
  root: "/people",
  versionPath: "/v3",
  project: { mode: "none" },
  contentType: { json: ["application/json"], otherwise: 400 },
  errors: { render: errorEnvelope, unrouted: htmlEnvelope, unroutedNeedsToken: false, wrongMethod: 405 },
  requestIdHeaders: ["x-openstack-request-id"],
  vary: ["X-Auth-Token"],
  pagination: { style: "object", maxLimit: 2 },
};

/** In the manner of Database: project mandatory, 403 in the framework's form. */
const data: Face = {
  ...people,
  name: "data",
  root: "/data",
  versionPath: "/v1.0",
  project: { mode: "mandatory", mismatchStatus: 403, mismatchBare: true },
  errors: { ...exampleFace.errors, status: { overQuota: 413 }, unroutedNeedsToken: false },
  pagination: { style: "links", maxLimit: 2 },
};

/** In the manner of Shared File Systems: bare version header, no `latest`, opt-in header, bodies of other types unread. */
const shares: Face = {
  ...people,
  name: "shares",
  root: "/shares",
  versionPath: "/v2",
  microversions: {
    min: "2.0",
    max: "2.99",
    default: "2.0",
    allowLatest: false,
    requestHeaders: [{ name: "x-shares-version" }],
    responseHeaders: [{ name: "X-Shares-Version" }],
    vary: ["X-Shares-Version"],
  },
  optInHeader: "x-shares-experimental",
  contentType: { json: ["application/json"], otherwise: "noBody" },
  errors: {
    ...exampleFace.errors,
    unknownVersion: ({ urls }) => ({ status: 300, body: { choices: [{ href: urls.root("/v2/") }] } }),
  },
  pagination: { style: "path", maxLimit: 2 },
};

/** In the manner of Network. */
const nets: Face = {
  ...people,
  name: "nets",
  root: "/nets",
  versionPath: "/v2.0",
  errors: { ...people.errors, render: typedEnvelope("NetError", (fault) => fault.code), unrouted: frameworkEnvelope },
  pagination: { style: "collection", maxLimit: 2 },
};

function routes(): Route[] {
  return [
    route({
      name: "root",
      method: "GET",
      path: "/",
      at: "root",
      auth: "none",
      handler: (r) => ({ raw: r.urls.root("/") }),
    }),
    route({
      name: "things.list",
      method: "GET",
      path: "/things",
      policy: "reader",
      query: Type.Object(pageQuery),
      handler(request) {
        request.authorize("reader");
        const page = pageOf(request);
        const rows = [{ id: "a" }, { id: "b" }, { id: "c" }].slice(0, page.limit);
        return { body: pageBody(request, "things", rows, { ...page, markerOf: (row) => row.id }) };
      },
    }),
    route({
      name: "things.create",
      method: "POST",
      path: "/things",
      policy: "authenticated",
      body: Type.Object({ password: Type.String() }),
      handler() {
        throw new CloudError("overQuota", "thing.quota", "Too many things.", { fields: { retryAfter: 0 } });
      },
    }),
    route({
      name: "things.odd",
      method: "PUT",
      path: "/odd",
      policy: "authenticated",
      optIn: true,
      handler: () => undefined,
    }),
  ];
}

const server = exampleServer({
  faces: [people, data, shares, nets].map((face) => ({ face, routes: routes() })),
  trustForwarded: true,
});
after(() => server.close());

const get = async (url: string, headers: Record<string, string> = tokens(READER)) => {
  const reply = await server.inject({ method: "GET", url, headers: { host: "h:1", ...headers } });
  return { status: reply.statusCode, headers: reply.headers, text: reply.body };
};

describe("faces differ only in data", () => {
  it("an unrouted path: HTML, the framework's JSON, or a list of choices", async () => {
    const html = await get("/people/v3/nothing", {});
    assert.equal(html.status, 404);
    assert.match(String(html.headers["content-type"]), /text\/html/);
    assert.equal(JSON.parse((await get("/nets/v2.0/nothing", {})).text).title, "Not Found");
    const choices = await get("/shares/v9/things", {});
    assert.equal(choices.status, 300);
    assert.deepEqual(JSON.parse(choices.text), { choices: [{ href: "http://h:1/shares/v2/" }] });
    assert.equal((await get("/elsewhere", {})).status, 404);
  });

  it("a wrong method: 405 with Allow, or 404", async () => {
    const refused = await server.inject({ method: "DELETE", url: "/people/v3/things" });
    assert.equal(refused.statusCode, 405);
    assert.equal(refused.headers.allow, "GET, HEAD, POST");
    assert.match(refused.body, /<h1>405 Method Not Allowed/);
    const unknown = await server.inject({ method: "DELETE", url: "/data/v1.0/things" });
    assert.equal(unknown.statusCode, 404);
  });

  it("a mandatory project: its own status and body on mismatch", async () => {
    assert.equal((await get(`/data/v1.0/${PROJECT}/things`)).status, 200);
    assert.equal((await get("/data/v1.0/things")).status, 404);
    const foreign = await get("/data/v1.0/abc/things");
    assert.equal(foreign.status, 403);
    assert.equal(JSON.parse(foreign.text).code, "403 Forbidden");
  });

  it("content types: 400, or the body counts as absent; the value of a secret is not repeated", async () => {
    for (const [path, type, text] of [
      ["/people/v3/things", "application/xml", /content type/],
      ["/shares/v2/things", "application/xml", /needs a JSON body/],
      ["/people/v3/things", "application/json", /password(?!.*42)/],
    ] as const) {
      const headers = tokens(READER, { "content-type": type });
      const reply = await server.inject({ method: "POST", url: path, headers, payload: '{"password":42}' });
      assert.equal(reply.statusCode, 400, path);
      assert.match(reply.body, text);
    }
  });

  it("over quota: 403, or 413 with Retry-After", async () => {
    const payload = { password: "x" };
    const plain = await server.inject({ method: "POST", url: "/nets/v2.0/things", headers: tokens(READER), payload });
    assert.equal(plain.statusCode, 403);
    assert.equal(plain.json().NetError.type, "thing.quota");
    const url = `/data/v1.0/${PROJECT}/things`;
    const other = await server.inject({ method: "POST", url, headers: tokens(READER), payload });
    assert.equal(other.statusCode, 413);
    assert.equal(other.headers["retry-after"], "0");
    assert.deepEqual(other.json(), { overLimit: { code: 413, message: "Too many things.", retryAfter: "0" } });
  });

  it("unknown keys are refused, or dropped where the face says so", async () => {
    const legacy: Face = { ...nets, name: "legacy", versionPath: "/v1", unknownBodyKeys: "remove" };
    const closed = route({
      name: "closed",
      method: "POST",
      path: "/closed",
      policy: "authenticated",
      body: Type.Object({ a: Type.Integer() }, { additionalProperties: false }),
      handler: (request) => ({ body: request.body }),
    });
    const other = exampleServer({ faces: [nets, legacy].map((face) => ({ face, routes: [closed] })) });
    const post = (version: string) =>
      other.inject({
        method: "POST",
        url: `/nets/${version}/closed`,
        headers: tokens(READER),
        payload: { a: 1, b: 2 },
      });
    assert.equal((await post("v2.0")).statusCode, 400);
    assert.deepEqual((await post("v1")).json(), { a: 1 });
    await other.close();
  });

  it("an opt-in header opens routes and is echoed; `latest` may be unknown", async () => {
    const put = (headers: Record<string, string>) =>
      server.inject({ method: "PUT", url: "/shares/v2/odd", headers: tokens(READER, headers) });
    assert.equal((await put({})).statusCode, 404);
    const opened = await put({ "x-shares-experimental": "yes", "x-shares-version": "2.57" });
    assert.equal(opened.statusCode, 200);
    assert.equal(opened.headers["x-shares-experimental"], "True");
    assert.equal(opened.headers["x-shares-version"], "2.57");
    assert.equal((await put({ "x-shares-version": "latest" })).statusCode, 400);
  });

  it("Vary tells what an answer depends on", async () => {
    assert.deepEqual((await get("/people/v3/things")).headers.vary, ["X-Auth-Token"]);
    assert.deepEqual((await get("/shares/v2/things")).headers.vary, ["X-Auth-Token", "X-Shares-Version"]);
  });

  it("links to the next page stand where the face has them", async () => {
    const body = async (url: string) => JSON.parse((await get(url)).text);
    const next = "marker=b";
    assert.deepEqual((await body("/people/v3/things?name=x")).links, {
      next: `http://h:1/people/v3/things?${next}&name=x`,
      self: "http://h:1/people/v3/things?name=x",
      previous: null,
    });
    assert.deepEqual((await body(`/data/v1.0/${PROJECT}/things?marker=z`)).links, [
      { rel: "next", href: `http://h:1/data/v1.0/${PROJECT}/things?${next}` },
    ]);
    const path = await body("/shares/v2/things?limit=2");
    assert.deepEqual([path.first, path.next], ["/v2/things?limit=2", `/v2/things?limit=2&${next}`]);
    assert.deepEqual((await body("/nets/v2.0/things?limit=9")).things_links, [
      { rel: "next", href: `http://h:1/nets/v2.0/things?limit=9&${next}` },
    ]);
    assert.deepEqual(await body("/nets/v2.0/things?limit=0"), { things: [] });
  });

  it("links follow a trusted proxy, and no nonsense", async () => {
    const proxied = { "x-forwarded-proto": "https", "x-forwarded-host": "cloud.example", "x-forwarded-prefix": "/up/" };
    assert.equal((await get("/people", proxied)).text, "https://cloud.example/up/people/");
    assert.equal((await get("/people/", { host: 'a"b' })).text, "http://localhost/people/");
  });
});

describe("the route table", () => {
  it("has a row per route", () => {
    const row = server.routeTable.find((each) => each.face === "data" && each.name === "things.list");
    assert.deepEqual(row, {
      face: "data",
      name: "things.list",
      method: "GET",
      path: "/data/v1.0/:project_id/things",
      action: null,
      auth: "token",
      policy: ["reader"],
      minVersion: null,
      maxVersion: null,
    });
  });

  it("has a row per action", async () => {
    const other = exampleServer();
    const rows = other.routeTable.filter((each) => each.action !== null);
    assert.deepEqual(
      rows.map(({ name, action, minVersion }) => [name, action, minVersion]),
      [
        ["servers.action.migrate", "migrate", null],
        ["servers.action.suspended", "suspended", "2.30"],
      ],
    );
    await other.close();
  });

  it("refuses routes that cannot be told apart, and routes without a rule", () => {
    const twice = [...routes(), ...routes()];
    assert.throws(() => exampleServer({ faces: [{ face: people, routes: twice }] }), /overlap/);
    assert.throws(() => route({ name: "x", method: "GET", path: "/x", handler: () => undefined }), /policy/);
  });
});
