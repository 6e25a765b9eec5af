import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

const IMPORTS_BUILDER = /import\s*\{[^}]*\boperation\b[^}]*\}\s*from\s*"[^"]*operations\/definition\.ts"/;
const BUILDS = /\boperation(<[^(]*>)?\(/g;

/**
 * What keeps the rule that every operation has a fault matrix, as lines to show; empty when all is well. The rule:
 *
 * - operations are built only in `services/<service>/operations/<name>.ts`, one per file;
 * - beside it stands `<name>.matrix.test.ts`, which imports from `./<name>.ts` and calls `faultMatrix(`, or gives one of the
 *   service's operations to a function of `./testing/` that does.
 *
 * `faultMatrix` runs every matrix on both stores.
 */
export async function matrixGaps(root: string): Promise<string[]> {
  const gaps: string[] = [];
  for (const top of ["services", "apps", "kernel", "agent"]) {
    const entries = await readdir(join(root, top), { recursive: true }).catch(() => []);
    for (const entry of entries.filter((name) => isSource(name))) {
      gaps.push(...(await gapsOf(root, join(top, entry))));
    }
  }
  return gaps.sort();
}

async function gapsOf(root: string, path: string): Promise<string[]> {
  const text = await readFile(join(root, path), "utf8");
  if (!IMPORTS_BUILDER.test(text)) return [];
  const built = [...text.matchAll(BUILDS)].length;
  if (!/^services\/[^/]+\/operations\/[^/]+\.ts$/.test(path))
    return [`${path} builds an operation outside operations/`];
  if (built > 1) return [`${path} builds ${built} operations; each needs a file of its own`];
  const own = basename(path, ".ts");
  const beside = path.replace(/\.ts$/, ".matrix.test.ts");
  const matrix = await readFile(join(root, beside), "utf8").catch(() => undefined);
  if (matrix === undefined) return [`${path} has no ${own}.matrix.test.ts beside it`];
  const direct = matrix.includes("faultMatrix(") && matrix.includes(`"./${own}.ts"`);
  if (!direct && !(await throughHelper(join(root, dirname(path)), matrix))) {
    return [`${beside} does not give the operation of ${own}.ts to faultMatrix`];
  }
  return [];
}

/** True when the test calls `…Matrix` of its service's testing folder on an operation, and that calls `faultMatrix`. */
async function throughHelper(folder: string, matrix: string): Promise<boolean> {
  const helper = /import \{[^}]*\b\w+Matrix\b[^}]*\} from "(\.\/testing\/[a-z-]+\.ts)"/.exec(matrix)?.[1];
  if (helper === undefined || !/=> operations(?:\.|\[)/.test(matrix)) return false;
  const text = await readFile(join(folder, helper), "utf8").catch(() => "");
  return text.includes("faultMatrix(");
}

/** Tests, and what only tests use, may build operations of their own. */
function isSource(name: string): boolean {
  return name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.split("/").includes("testing");
}
