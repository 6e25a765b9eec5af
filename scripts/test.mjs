if (Number(process.versions.node.split(".")[0]) < 20) {
  console.error(`The tests need Node.js 20 or newer to start; this is ${process.version}.`);
  process.exitCode = 1;
} else {
  void import("../bin/bootstrap.mjs").then(({ launch }) =>
    launch("scripts/test.ts", process.argv.slice(2), { dev: true }),
  );
}
