import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const hub = new URL("./channel-hub.ts", import.meta.url).href;

test("a listener that throws keeps nothing from the others nor from the publisher, and is not hushed up", () => {
  const script = `
    import { ChannelHub } from ${JSON.stringify(hub)};
    process.on("uncaughtException", (error) => console.log("surfaced", error.message));
    const hub = new ChannelHub();
    hub.listen("c", () => { throw new Error("broken"); });
    hub.listen("c", (payload) => console.log("heard", payload));
    hub.publish("c", "news");
    console.log("went on");
  `;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.deepEqual(stdout.trim().split("\n"), ["heard news", "went on", "surfaced broken"]);
});
