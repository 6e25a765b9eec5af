import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allowsRequest } from "./access-rules.ts";
import { fillUrl, isValidTemplate } from "./catalog-url.ts";
import { roleGraph, withImplied } from "./implied-roles.ts";

describe("implied roles", () => {
  it("follows any number of steps, and circles", () => {
    const edge = (prior_role_id: string, implied_role_id: string) => ({ prior_role_id, implied_role_id });
    const graph = roleGraph([edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("x", "y")]);
    assert.deepEqual([...withImplied(["a"], graph)].sort(), ["a", "b", "c"]);
    assert.deepEqual([...withImplied(["y"], graph)], ["y"]);
  });
});

describe("catalog URLs", () => {
  const subject = { userId: "u", projectId: "p", domainId: null };

  it("takes both spellings of a placeholder, and both names of a project", () => {
    assert.equal(fillUrl("http://a/%(project_id)s/$(tenant_id)s/%(user_id)s", subject), "http://a/p/p/u");
    assert.equal(fillUrl("http://a", { ...subject, projectId: null }), "http://a");
    assert.equal(fillUrl("http://a/%(project_id)s", { ...subject, projectId: null }), null);
  });

  it("tells malformed templates", () => {
    for (const good of ["http://a/%(project_id)s", "http://a/%20b"]) assert.ok(isValidTemplate(good), good);
    for (const bad of ["http://a/%(secret)s", "http://a/%(project_id)", "http://a/%zz"]) {
      assert.ok(!isValidTemplate(bad), bad);
    }
  });
});

describe("access rules", () => {
  const rule = (path: string) => [{ service: "compute", method: "GET", path }];
  const get = (path: string) => ({ method: "GET", path, serviceTypes: ["compute"] });

  it("match one part with *, any number with **, and literal text otherwise", () => {
    assert.ok(allowsRequest(rule("/v2.1/servers"), get("/v2.1/servers")));
    assert.ok(!allowsRequest(rule("/v2.1/servers"), get("/v2x1/servers")));
    assert.ok(!allowsRequest(rule("/v2.1/servers"), get("/v2.1/servers/1")));
    assert.ok(allowsRequest(rule("/v2.1/servers/*"), get("/v2.1/servers/1")));
    assert.ok(!allowsRequest(rule("/v2.1/servers/*"), get("/v2.1/servers/1/ips")));
    assert.ok(allowsRequest(rule("/v2.1/**"), get("/v2.1/servers/1/ips")));
    assert.ok(allowsRequest(rule("/v2.1/{project_id}/servers"), get("/v2.1/p/servers")));
  });

  it("count for their service and method only", () => {
    assert.ok(!allowsRequest(rule("/a"), { ...get("/a"), serviceTypes: ["volumev3"] }));
    assert.ok(!allowsRequest(rule("/a"), { ...get("/a"), method: "POST" }));
    assert.ok(!allowsRequest([], get("/a")));
  });
});
