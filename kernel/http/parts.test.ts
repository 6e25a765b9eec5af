import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Type } from "typebox";
import { CloudError } from "../errors/cloud-error.ts";
import { ApiVersion, parseVersion } from "./api-version.ts";
import { Metrics } from "./metrics.ts";
import { QueryReader } from "./query.ts";
import { BodyBoolean, DateTime, digits, HostName, isTrue, parseDateTime, UuidLike } from "./schemas.ts";
import { baseUrl } from "./urls.ts";
import { Validator } from "./validation.ts";
import { versionSteps } from "./version-steps.ts";

describe("versions", () => {
  it("compare by number, not by text", () => {
    assert.ok(new ApiVersion("2.10").atLeast("2.9"));
    assert.ok(new ApiVersion("2.9").below("2.10"));
    for (const text of ["2", "2.", ".1", "2.01", "02.1", "2.1 ", "2.1.1", "2.-1", "latest", "2.99999"]) {
      assert.equal(parseVersion(text), undefined, text);
    }
  });

  it("steps lead down from the newest answer and up from the oldest request", () => {
    const order: string[] = [];
    const steps = versionSteps<Record<string, unknown>, Record<string, unknown>>([
      {
        since: "2.3",
        name: "tags",
        down(answer) {
          order.push("down 2.3");
          delete answer.tags;
        },
        up: () => void order.push("up 2.3"),
      },
      {
        since: "2.10",
        name: "locked",
        down(answer) {
          order.push("down 2.10");
          delete answer.locked;
        },
        up(request) {
          order.push("up 2.10");
          request.reason ??= null;
        },
      },
    ]);
    const newest = () => ({ id: 1, tags: [], locked: true });
    assert.deepEqual(steps.down(new ApiVersion("2.10"), newest()), newest());
    assert.deepEqual(steps.down(new ApiVersion("2.9"), newest()), { id: 1, tags: [] });
    assert.deepEqual(steps.down(new ApiVersion("2.1"), newest()), { id: 1 });
    assert.deepEqual(steps.up(new ApiVersion("2.1"), {}), { reason: null });
    assert.deepEqual(order, ["down 2.10", "down 2.10", "down 2.3", "up 2.3", "up 2.10"]);
  });
});

describe("schemas", () => {
  const validator = new Validator();
  const accepts = (schema: Parameters<Validator["validate"]>[0], value: unknown): boolean => {
    try {
      validator.validate(schema, value);
      return true;
    } catch (error) {
      assert.ok(error instanceof CloudError && error.code === "http.schema");
      return false;
    }
  };

  it("take the words of oslo for booleans, no numbers, no null", () => {
    for (const value of [true, false, "True", "1", "yes", "OFF", "No"]) assert.ok(accepts(BodyBoolean, value));
    for (const value of [1, 0, null, "", "tRue", "t", "y"]) assert.ok(!accepts(BodyBoolean, value), String(value));
    assert.deepEqual([isTrue("ON"), isTrue("No"), isTrue(true)], [true, false, true]);
  });

  it("know hosts, UUIDs, dates and digits", () => {
    assert.ok(accepts(HostName, "host-1.example_a"));
    for (const bad of ["", "a b", "a/b", "x".repeat(256)]) assert.ok(!accepts(HostName, bad));
    assert.ok(accepts(UuidLike, "0123456789ABCDEF0123456789abcdef"));
    assert.ok(!accepts(UuidLike, "../../etc/passwd"));
    for (const good of ["2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.678901", "2026-01-02T03:04+02:00"]) {
      assert.ok(accepts(DateTime, good), good);
    }
    for (const bad of ["", "yesterday", "2026-13-01", "2026-01-02T99:00:00", "1"])
      assert.ok(!accepts(DateTime, bad), bad);
    assert.equal(parseDateTime("2026-01-02T03:04:05"), Date.UTC(2026, 0, 2, 3, 4, 5));
    assert.equal(parseDateTime("2026-01-02T03:04:05+01:00"), Date.UTC(2026, 0, 2, 2, 4, 5));
    for (const good of [1, "1", 10, "10"]) assert.ok(accepts(digits(1, 10), good));
    for (const bad of [0, "0", 11, "11", "x", "", "1.5", 1.5, null])
      assert.ok(!accepts(digits(1, 10), bad), String(bad));
  });

  it("say of a choice all that it allows", () => {
    const refusal = (schema: Parameters<Validator["validate"]>[0], value: unknown): string => {
      try {
        validator.validate(schema, value, "at");
      } catch (error) {
        return String(error instanceof Error && error.message);
      }
      throw new Error("was accepted");
    };
    const kind = Type.Union([Type.Literal("public"), Type.Literal("internal")]);
    assert.match(refusal(kind, "x"), /"x"\. must be one of \["public","internal"\]$/);
    assert.match(refusal(Type.Literal("slaac"), "x"), /must be one of \["slaac"\]$/);
    assert.match(refusal(Type.Union([kind, Type.Null()]), "x"), /must be one of \["public","internal",null\]$/);
    const object = Type.Object({ host: Type.Optional(HostName) }, { additionalProperties: false });
    const target = Type.Union([Type.Null(), object]);
    assert.match(refusal(target, "x"), /must be null or object$/);
    assert.match(refusal(target, { x: 1 }), /additional property 'x' is not allowed$/);
    assert.match(refusal(target, { host: "" }), /at\.host\. Value: ""\. must NOT have fewer than 1 characters$/);
    assert.match(refusal(BodyBoolean, 1), /must be boolean$/);
    assert.match(refusal(Type.Union([Type.String(), Type.Null()]), 1), /must be string or null$/);
  });

  it("say what is wrong without repeating secrets", () => {
    const schema = Type.Object({ user: Type.Object({ password: Type.String(), age: Type.Integer() }) });
    const messageOf = (value: unknown) => {
      try {
        validator.validate(schema, value, "create");
      } catch (error) {
        return error instanceof Error ? error.message : "";
      }
      return "accepted";
    };
    assert.match(messageOf({ user: { password: "hush", age: "old" } }), /create\.user\.age.*"old".*integer/);
    assert.doesNotMatch(messageOf({ user: { password: "hush" } }), /hush/);
    assert.doesNotMatch(messageOf({ user: { password: ["hush"], age: 1 } }), /hush/);
  });
});

describe("queries", () => {
  it("convert unions and merged objects; of a repeated single value the last counts", () => {
    const schema = Type.Intersect([
      Type.Object({ a: Type.Optional(Type.Union([Type.Integer(), Type.Literal("all")])) }),
      Type.Object({ b: Type.Optional(Type.Boolean()) }),
    ]);
    const reader = new QueryReader(schema);
    assert.deepEqual(reader.read({ a: "5", b: "off" }, true), { a: 5, b: false });
    assert.deepEqual(reader.read({ a: ["1", "all"], c: "x" }, false), { a: "all" });
    assert.throws(() => reader.read({ c: "x" }, true), /'c'/);
  });
});

describe("metrics", () => {
  it("render as Prometheus reads them", async () => {
    const metrics = new Metrics();
    const counter = metrics.counter("jobs_total", "Jobs.");
    counter.with({ kind: 'a"b\\\n' }).add(2);
    counter.with({ kind: 'a"b\\\n' }).add();
    const histogram = metrics.histogram("took_seconds", "Time.", [1, 2]).with({});
    for (const value of [0.5, 1, 1.5, 9]) histogram.observe(value);
    metrics.gauge("hosts", "Hosts.", async () => [{ labels: { state: "up" }, value: 3 }]);
    metrics.gauge("broken", "Fails.", () => {
      throw new Error("no");
    });
    const text = await metrics.render();
    assert.match(text, /# TYPE jobs_total counter\njobs_total\{kind="a\\"b\\\\\\n"\} 3\n/);
    assert.match(text, /le="1"\} 2\ntook_seconds_bucket\{le="2"\} 3\ntook_seconds_bucket\{le="\+Inf"\} 4\n/);
    assert.match(text, /took_seconds_sum 12\ntook_seconds_count 4\n/);
    assert.match(text, /hosts\{state="up"\} 3\n/);
    assert.doesNotMatch(text, /broken/);
    assert.throws(() => metrics.counter("hosts", "Again."), /twice/);
  });
});

describe("addresses", () => {
  it("come from the settings, a trusted proxy, or the request", () => {
    const forwarded = { host: "a:1", "x-forwarded-host": "b, c", "x-forwarded-proto": "https" };
    assert.equal(baseUrl(forwarded, { tls: false }), "http://a:1");
    assert.equal(baseUrl(forwarded, { tls: false, trustForwarded: true }), "https://b");
    assert.equal(baseUrl(forwarded, { tls: false, publicUrl: "https://p" }), "https://p");
    assert.equal(baseUrl({ host: "[::1]:5000" }, { tls: true }), "https://[::1]:5000");
  });
});
