import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { runCommand } from "../process/run-command.ts";

/** A kernel module ready to be loaded: file name and uncompressed bytes. */
export interface KernelModule {
  file: string;
  data: Buffer;
}

/**
 * The named modules and all they depend on, in load order. A name that is not there is built into the kernel and left out.
 * Dependencies are read from the modules themselves, so no `depmod` is needed.
 */
export async function modulesInLoadOrder(modulesDir: string, names: readonly string[]): Promise<KernelModule[]> {
  const paths = new Map<string, string>();
  for (const entry of await readdir(modulesDir, { recursive: true })) {
    if (/\.ko(\.xz)?$/.test(entry)) paths.set(moduleName(entry), join(modulesDir, entry));
  }
  const ordered = new Map<string, KernelModule>();
  const visit = async (name: string): Promise<void> => {
    const path = paths.get(name);
    if (path === undefined || ordered.has(name)) return;
    const data = await readModule(path);
    for (const dependency of dependenciesOf(data)) await visit(dependency);
    ordered.set(name, { file: `${name}.ko`, data });
  };
  for (const name of names) await visit(name.replaceAll("-", "_"));
  return [...ordered.values()];
}

/** Names in the `depends=` entry of a module's information section. */
export function dependenciesOf(module: Buffer): string[] {
  const key = Buffer.from("\0depends=");
  const at = module.indexOf(key);
  if (at < 0) return [];
  const start = at + key.length;
  const list = module.toString("latin1", start, module.indexOf(0, start));
  return list === "" ? [] : list.split(",").map((name) => name.replaceAll("-", "_"));
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.xz)?$/, "")
    .replaceAll("-", "_");
}

async function readModule(path: string): Promise<Buffer> {
  if (!path.endsWith(".xz")) return readFile(path);
  await runCommand("xz", ["-dk", path]);
  return readFile(path.slice(0, -3));
}
