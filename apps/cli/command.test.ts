import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { type Command, parseArguments } from "./command.ts";

const command: Command = {
  positionals: ["ID", "[HOST]"],
  flags: {
    state: { type: "string", value: "DIR", default: "./here", help: "" },
    simulate: { type: "string", value: "N", help: "" },
    reset: { type: "boolean", help: "" },
  },
  run: async () => 0,
};

const parse = (...argv: string[]) => parseArguments("up", command, argv);
const complaint = (...argv: string[]): string => {
  try {
    parse(...argv);
  } catch (error) {
    assert.ok(error instanceof CloudError && error.code === "cli.usage");
    return error.message;
  }
  return assert.fail("it was accepted");
};

test("flags, defaults and positionals", () => {
  const args = parse("one", "--simulate=3", "--reset", "two");
  assert.deepEqual([args.positionals, args.text("state"), args.count("simulate", 1)], [["one", "two"], "./here", 3]);
  assert.deepEqual(
    [args.has("reset"), parse("one").has("reset"), parse("one").count("simulate", 1)],
    [true, false, null],
  );
});

test("what is wrong is said, with what was probably meant", () => {
  assert.equal(complaint("one", "--simluate", "3"), "'up' has no option --simluate. Did you mean --simulate?");
  assert.equal(complaint("one", "--colour"), "'up' has no option --colour.");
  assert.equal(complaint("one", "--state"), "--state needs a value: --state DIR.");
  assert.equal(complaint("one", "--state", "--reset"), "--state needs a value: --state DIR.");
  assert.equal(complaint("one", "--reset=yes"), "--reset takes no value.");
  assert.equal(complaint(), "'up' needs ID.");
  assert.equal(complaint("one", "two", "three"), "'up' does not take 'three'.");
});

test("counts are whole and not too small", () => {
  for (const bad of ["0", "-1", "1.5", "many"])
    assert.throws(() => parse("one", `--simulate=${bad}`).count("simulate", 1), { code: "cli.usage" });
});
