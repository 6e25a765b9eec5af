import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Import, importsOf } from "./imports.ts";
import { type Masked, mask } from "./mask.ts";

export const ROOT = join(import.meta.dirname, "../../..");

const FOLDERS = ["kernel", "agent", "services", "apps", "scripts", "bench", "tests"];

export interface SourceFile extends Masked {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** A test, or what only tests use. */
  readonly forTests: boolean;
}

let all: readonly SourceFile[] | undefined;

/** Every TypeScript file of the repository, read once per process. */
export function sourceFiles(): readonly SourceFile[] {
  all ??= FOLDERS.flatMap((folder) => filesUnder(folder, ".ts")).map(readSource);
  return all;
}

/** Paths of the files under a folder of the repository, sorted. */
export function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.includes("node_modules/"))
    .map((name) => `${folder}/${name}`)
    .toSorted();
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), "utf8");
  const masked = mask(text);
  const forTests = path.startsWith("tests/") || path.endsWith(".test.ts") || path.includes("/testing");
  return { path, text, ...masked, imports: importsOf(path, masked), forTests };
}
