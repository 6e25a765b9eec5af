import assert from "node:assert/strict";
import { test } from "node:test";
import { errorFields, Loggers } from "./logger.ts";

function recorded() {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const told = () => lines.splice(0).map(({ logger, host, msg }) => [logger, host, msg]);
  return { loggers: new Loggers({ level: "info", base: { host: "vm" }, destination }), told, lines };
}

test("a level holds for a prefix, for loggers there are and loggers to come", () => {
  const { loggers, told } = recorded();
  const early = loggers.get("http.request");
  loggers.setLevel("http", "debug");
  early.debug({}, "seen");
  loggers.get("http.response").debug({}, "seen too");
  loggers.get("store").debug({}, "not seen");
  assert.deepEqual(told(), [
    ["http.request", "vm", "seen"],
    ["http.response", "vm", "seen too"],
  ]);
  loggers.setLevel("", "error");
  early.info({}, "not seen");
  assert.deepEqual(told(), []);
});

test("a part that counts as a process has levels of its own, and writes to the same place", () => {
  const { loggers, told } = recorded();
  const [part, other] = [loggers.ofPart({ host: "host-1" }), loggers.ofPart({ host: "host-2" })];
  part.setLevel("", "debug");
  for (const each of [loggers, part, other]) each.get("agent").debug({}, "a detail");
  assert.deepEqual(told(), [["agent", "host-1", "a detail"]]);
  assert.deepEqual([loggers.levels(), part.levels()], [{ agent: "info" }, { agent: "debug" }]);
});

test("secrets are not written", () => {
  const { loggers, lines } = recorded();
  loggers.get("http").info({ password: "hush", body: { password: "hush" } }, "a login");
  assert.doesNotMatch(JSON.stringify(lines), /hush/);
});

test("an error says to operators what its message does not", () => {
  const error = Object.assign(new Error("No room."), { reason: "3 hosts, 0 up", internal: "flavor 1" });
  assert.equal(errorFields(error).err, "Error: No room. (3 hosts, 0 up) (flavor 1)");
  assert.equal(errorFields(new Error("No room.")).err, "Error: No room.");
});
