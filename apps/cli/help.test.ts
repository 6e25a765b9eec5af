import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { commands } from "./commands.ts";
import { runCommandLine } from "./run-command-line.ts";

const GOLDEN = new URL("./testing/help.txt", import.meta.url);

async function output(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runCommandLine(argv, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

/** With PILEUS_UPDATE_GOLDEN=1 the file is written anew; its change shows in the review. */
test("the help texts are those of testing/help.txt", async () => {
  const calls = [["--help"], ...commands.map(({ name }) => [...name.split(" "), "--help"])];
  const parts: string[] = [];
  for (const call of calls) {
    const { code, out } = await output(...call);
    assert.equal(code, 0);
    parts.push(`$ pileus ${call.join(" ")}\n${out}`);
  }
  const text = parts.join("\n");
  if (process.env.PILEUS_UPDATE_GOLDEN === "1") writeFileSync(GOLDEN, text);
  assert.equal(text, readFileSync(GOLDEN, "utf8"));
});

test("the version is that of the package", async () => {
  const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  assert.equal((await output("--version")).out, `pileus ${(JSON.parse(file) as { version: string }).version}\n`);
});

test("wrong calls end with 2 and say what was probably meant", async () => {
  assert.deepEqual(await output("operatons", "list"), {
    code: 2,
    out: "",
    err: "pileus: there is no command 'operatons'. Did you mean 'operations'?\n",
  });
  assert.match((await output("operations", "wacth")).err, /Did you mean 'operations watch'/);
  assert.match((await output("hosts", "dance")).err, /'hosts' has no 'dance'. There are list, token\./);
  assert.match((await output("hosts", "list", "--colud", "x")).err, /--cloud\? See 'pileus hosts list --help'/);
  assert.equal((await output()).code, 2);
  const group = await output("operations", "--help");
  assert.deepEqual([group.code, group.out.includes("operations retry"), group.out.includes("hosts")], [0, true, false]);
});
