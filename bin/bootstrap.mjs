// Runs before any dependency exists and on Node 20: plain JavaScript, only what Node itself brings.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";
import { environmentFor } from "./libatomic.mjs";

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));

/** The small young generation spares each process 30 MiB; the processes it starts inherit these. */
const NODE_FLAGS = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=2"];

/**
 * Where Node keeps what it has made of the sources, TypeScript's among them: that is half the CPU time of every start but
 * the first. Beside the packages, because a shared folder could be written by others.
 */
function compileCache(root) {
  return { NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "pileus") };
}

/**
 * Installs what is missing, then runs `entry` (a TypeScript file, relative to the repository) under the pinned Node and
 * ends as it ends. `dev`: the packages for development are needed too.
 */
export async function launch(entry, args, { root = HERE, dev = false } = {}) {
  try {
    const missing = outdatedPackages(root, { dev });
    if (missing.length > 0 || !findRuntime(root)) await installPackages(root, missing);
    const node = findRuntime(root);
    if (!node) throw new Error(noRuntime());
    const mayInstall = !args.includes("--no-install");
    const variables = environmentFor(node, { root, mayInstall, say: (line) => console.error(`pileus: ${line}`) });
    await runAs(node, [...NODE_FLAGS, join(root, entry), ...args], { ...compileCache(root), ...variables });
  } catch (error) {
    console.error(`pileus: ${error.message}`);
    process.exitCode = 1;
  }
}

/**
 * Names of packages that package-lock.json asks for and node_modules does not hold in that version, by the record that npm
 * leaves there when it has finished. Packages for other platforms may be absent.
 */
export function outdatedPackages(root, { dev }) {
  const wanted = readPackages(join(root, "package-lock.json"));
  if (!wanted) throw new Error(`there is no package-lock.json in ${root}`);
  const installed = readPackages(join(root, "node_modules", ".package-lock.json")) ?? {};
  return Object.entries(wanted)
    .filter(([path, entry]) => {
      if (path === "") return false;
      const present = installed[path];
      if (!present || !existsSync(join(root, path))) return !(entry.optional || (entry.dev && !dev));
      return present.version !== entry.version || present.integrity !== entry.integrity;
    })
    .map(([path]) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length));
}

/** The pinned Node of this platform, else the one that runs this, if it can run TypeScript; else undefined. */
export function findRuntime(root) {
  const pinned = join(root, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  if (existsSync(pinned)) return pinned;
  const capable = Number(process.versions.node.split(".")[0]) >= 24 && Boolean(process.features.typescript);
  return capable && existsSync(process.execPath) ? process.execPath : undefined;
}

async function installPackages(root, missing) {
  const why = existsSync(join(root, "node_modules"))
    ? `node_modules differs from package-lock.json${missing.length > 0 ? ` (${summary(missing)})` : ""}`
    : "first start";
  const started = process.hrtime.bigint();
  console.error(`pileus: ${why}: installing packages with npm ci …`);
  const args = ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  // Without our own .bin: npm must not run on the Node that it is about to replace.
  const path = (process.env.PATH ?? "").split(delimiter).filter((part) => resolve(part) !== ownBin(root));
  // On stderr, so that the output of the command proper can be piped.
  const options = { cwd: root, stdio: ["ignore", 2, 2], env: { ...process.env, PATH: path.join(delimiter) } };
  const { code } = await ended(spawn("npm", args, options)).catch((error) => {
    throw error.code === "ENOENT" ? new Error("npm is needed for the first start; install it beside Node.js") : error;
  });
  if (code !== 0)
    throw new Error("npm ci failed, see above; it needs the npm registry, or an npm cache that holds these packages");
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.error(`pileus: packages installed in ${seconds.toFixed(1)} s`);
}

const ownBin = (root) => resolve(root, "node_modules", ".bin");

function summary(names) {
  return names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
}

function noRuntime() {
  return (
    `there is no Node for ${process.platform}-${process.arch} among the packages (npm may have been told to omit optional ` +
    `ones); run this with Node.js 24 or newer instead of ${process.version}`
  );
}

/** A terminal sends these to the whole foreground group, so the child has its own copy. */
const SENT_BY_TERMINALS = new Set(["SIGINT", "SIGQUIT", "SIGHUP"]);

/** Runs the program in our place: same streams, each signal once, same exit code or death. */
async function runAs(file, args, variables) {
  const child = spawn(file, args, { stdio: "inherit", env: { ...process.env, ...variables } });
  const atTerminal = [0, 1, 2].some((fd) => isatty(fd));
  const handlers = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"].map((signal) => {
    const handler = () => {
      if (!(atTerminal && SENT_BY_TERMINALS.has(signal))) child.kill(signal);
    };
    process.on(signal, handler);
    return [signal, handler];
  });
  const { code, signal } = await ended(child);
  for (const [name, handler] of handlers) process.off(name, handler);
  if (signal === null) {
    process.exitCode = code;
    return;
  }
  // Dying of the same signal tells our parent the truth; the exit code is for signals that do not end us.
  process.exitCode = 128 + constants.signals[signal];
  process.kill(process.pid, signal);
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch (error) {
    if (error.code === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
