// Node's own build needs one library that a minimal Debian lacks. Like bootstrap.mjs: plain JavaScript, no dependencies.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * The environment variables with which `node` runs: none if it simply does. Else libatomic1 is installed, when root and
 * allowed, or fetched as a private copy below node_modules, which takes neither. Throws an Error that tells what to do.
 */
export function environmentFor(node, { root, mayInstall, say }) {
  if (runs(node)) return {};
  const folder = join(root, "node_modules", ".libatomic");
  const privately = { LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":") };
  if (existsSync(folder) && runs(node, privately)) return privately;
  const isRoot = process.getuid?.() === 0;
  if (mayInstall && isRoot) {
    say("installing libatomic1 with apt-get, the pinned Node needs it …");
    if (aptWithLists(["install", "-y", "--no-install-recommends", "libatomic1"], { isRoot }) && runs(node)) return {};
  }
  say("fetching a private copy of libatomic1, the pinned Node needs it …");
  if (fetchCopy(folder, { isRoot }) && runs(node, privately)) return privately;
  throw new Error(
    "the pinned Node cannot run, most likely for want of a library; run: sudo apt-get install libatomic1",
  );
}

function runs(node, variables = {}) {
  return spawnSync(node, ["--version"], { env: { ...process.env, ...variables } }).status === 0;
}

function fetchCopy(folder, { isRoot }) {
  const work = mkdtempSync(`${folder}-`);
  try {
    if (!aptWithLists(["download", "libatomic1"], { isRoot, cwd: work })) return false;
    const archive = readdirSync(work).find((name) => name.endsWith(".deb"));
    if (!archive || spawnSync("dpkg-deb", ["-x", archive, "files"], { cwd: work }).status !== 0) return false;
    mkdirSync(folder, { recursive: true });
    // libatomic.so.1 itself is a link to this file.
    const library = readdirSync(join(work, "files"), { recursive: true }).find((path) =>
      /\/libatomic\.so\.1\.[\d.]+$/.test(path),
    );
    if (!library) return false;
    renameSync(join(work, "files", library), join(folder, "libatomic.so.1"));
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Fetches package lists, which root alone may do, only when it does not work without. */
function aptWithLists(args, { isRoot, cwd }) {
  const apt = (words) =>
    spawnSync("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", ...words], {
      ...(cwd ? { cwd } : {}),
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: "ignore",
    }).status === 0;
  return apt(args) || (isRoot && apt(["update"]) && apt(args));
}
