#!/usr/bin/env node
// Old syntax only, and nothing imported before the check: this line must also run where the rest cannot.
if (Number(process.versions.node.split(".")[0]) < 20) {
  console.error(`Pileus needs Node.js 20 or newer to start; this is ${process.version}.`);
  process.exitCode = 1;
} else {
  void import("./bootstrap.mjs").then(({ launch }) => launch("apps/cli/main.ts", process.argv.slice(2)));
}
