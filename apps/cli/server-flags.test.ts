import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { parseArguments } from "./command.ts";
import { serverFlags, serverSettings } from "./server-flags.ts";
import { ensureStateFolder } from "./state-folder.ts";

const settingsOf = (...argv: string[]) =>
  serverSettings(parseArguments("up", { flags: serverFlags, run: async () => 0 }, argv), {});

function refusal(act: () => unknown): { code: string; message: string } {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof CloudError, String(error));
    return { code: error.code, message: error.message };
  }
  assert.fail("nothing was refused");
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "server-flags-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("addresses and names that cannot be are wrong usage, and say which", () => {
  const wrong = [
    ["--public-url", "foo"],
    ["--public-url", "ftp://example.org"],
    ["--public-url", ""],
    ["--public-url", "https://example.org?a=1"],
    ["--cors-origin", "foo"],
    ["--cors-origin", "https://example.org/path"],
    ["--region", ""],
    ["--region", "a b"],
  ];
  for (const [flag = "", value = ""] of wrong) {
    const { code, message } = refusal(() => settingsOf(`${flag}=${value}`));
    assert.equal(code, "cli.usage", flag);
    assert.ok(message.startsWith(`${flag} takes `) && message.includes(`not '${value}'`), message);
  }
  const { publicUrl, corsOrigins, region } = settingsOf(
    ...["--public-url", "https://cloud.example.org/", "--cors-origin", "http://localhost:3000", "--region", "north"],
  );
  assert.deepEqual([publicUrl, corsOrigins, region], ["https://cloud.example.org", ["http://localhost:3000"], "north"]);
  assert.deepEqual(settingsOf("--cors-origin", "*").corsOrigins, ["*"]);
});

test("a file that a flag names must be there", (t) => {
  const dir = folder(t);
  const here = join(dir, "here");
  writeFileSync(here, "");
  const gone = join(dir, "gone");
  const cases = [
    ["--policy", gone],
    ["--config", gone],
    ["--tls-key", gone, "--tls-cert", here],
  ];
  for (const argv of cases)
    assert.deepEqual(
      refusal(() => settingsOf(...argv)),
      { code: "cli.unreadable_file", message: `${argv[0]} ${gone} cannot be read: there is no such file.` },
    );
  assert.equal(refusal(() => settingsOf("--policy", dir)).message, `--policy ${dir} cannot be read: it is a folder.`);
  assert.equal(settingsOf("--policy", here).policyFile, here);
});

test("what is wrong in the configuration file is said in one line, with its place", (t) => {
  const file = join(folder(t), "config.yaml");
  for (const text of [
    "compute:\n  max_limit: [1\n",
    "compute: {a: 1\nb",
    "a: b: c\n",
    "\tcompute: 1\n",
    "compute: &\n",
  ]) {
    writeFileSync(file, text);
    const { code, message } = refusal(() => settingsOf("--config", file));
    assert.equal(code, "cli.config");
    assert.match(message, /^Configuration file \S+: line \d+, column \d+: [^\n]*[^.]\.$/);
  }
  writeFileSync(file, "compute: *nowhere\n");
  assert.match(refusal(() => settingsOf("--config", file)).message, /: it has an alias [^\n]*\.$/);
  writeFileSync(file, "compute:\n  max_limit: 7\n");
  assert.equal(settingsOf("--config", file).compute.maxLimit, 7);
});

test("a state folder that cannot be one is named", (t) => {
  const dir = folder(t);
  const file = join(dir, "file");
  writeFileSync(file, "");
  assert.equal(refusal(() => ensureStateFolder(file)).message, `--state ${file} cannot be a folder: it is a file.`);
  const below = join(file, "x");
  assert.equal(
    refusal(() => ensureStateFolder(below)).message,
    `--state ${below} cannot be a folder: a file is in its path.`,
  );
  ensureStateFolder(join(dir, "a", "b"));
  ensureStateFolder(join(dir, "a", "b"));
});
