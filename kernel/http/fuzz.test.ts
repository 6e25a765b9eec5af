import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { ADMIN, exampleServer, tokens } from "./testing.ts";

const server = exampleServer();
after(() => server.close());

const methods = fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS");
const paths = fc.oneof(
  fc.constantFrom("/compute/v2.1/servers", "/compute/v2.1/servers/1/action", "/compute", "/"),
  fc.webPath().map((path) => `/compute/v2.1${path}`),
  fc.string().map((text) => `/compute/v2.1/servers/${encodeURIComponent(text.toWellFormed())}/action`),
  fc.stringMatching(/^[%/a-f0-9.:;-]{0,40}$/).map((text) => `/${text}`),
);
const queries = fc.oneof(
  fc.constant(""),
  fc.webQueryParameters().map((query) => `?${query}`),
);
const bodies = fc.oneof(
  fc.string(),
  fc.json(),
  fc.json().map((inner) => `{"server":{"name":${inner}}}`),
  fc.json().map((inner) => `{"migrate":${inner}}`),
);
const versions = fc.oneof(
  fc.stringMatching(/^[ -~]{0,20}$/),
  fc.constantFrom("compute 2.1", "compute 2.56", "compute latest"),
);
const types = fc.constantFrom(
  "application/json",
  "text/plain",
  "",
  "x",
  "application/xml",
  ";;",
  "application/json;charset=latin1",
);

describe("whatever is sent", () => {
  it("never answers 5xx, and always with a request id", async () => {
    await fc.assert(
      fc.asyncProperty(
        methods,
        paths,
        queries,
        bodies,
        versions,
        types,
        async (method, path, query, body, version, type) => {
          const reply = await server.inject({
            method,
            url: path + query,
            headers: tokens(ADMIN, { "openstack-api-version": version, "content-type": type }),
            ...(method === "GET" || method === "HEAD" ? {} : { payload: body }),
          });
          assert.ok(reply.statusCode < 500, `${reply.statusCode} ${reply.body}`);
          assert.match(String(reply.headers["x-openstack-request-id"]), /^req-/);
        },
      ),
      { numRuns: 300 },
    );
  });
});
