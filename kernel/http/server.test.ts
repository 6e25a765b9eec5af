import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { exampleServer, READER, tokens } from "./testing.ts";

describe("one request", () => {
  const server = exampleServer();
  after(() => server.close());

  it("answers a list with version, request id and Vary headers", async () => {
    const reply = await server.inject({ method: "GET", url: "/compute/v2.1/servers", headers: tokens(READER) });
    assert.equal(reply.statusCode, 200);
    assert.deepEqual(reply.json(), { servers: [] });
    assert.equal(reply.headers["openstack-api-version"], "compute 2.1");
    assert.match(String(reply.headers["x-openstack-request-id"]), /^req-[0-9a-f-]{36}$/);
    assert.deepEqual(reply.headers.vary, ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version"]);
  });
});
