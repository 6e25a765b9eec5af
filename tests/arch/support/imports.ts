import { posix } from "node:path";
import type { Masked } from "./mask.ts";

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path in the repository; null for packages and for what Node brings. */
  readonly path: string | null;
  /** Between `import` and `from`: `type { A }`, `{ a, b }`; empty for `import("…")`. */
  readonly clause: string;
  /** `export … from`. */
  readonly reexport: boolean;
  readonly line: number;
}

const STATIC = /^(import|export)\b([^;"'`]*?)\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"([^"]+)"\s*\)/g;

/** What a file imports, types included. */
export function importsOf(path: string, { code, uncommented }: Masked): Import[] {
  const found: Import[] = [];
  const add = (index: number, specifier: string, clause: string, reexport: boolean) => {
    // A match inside a string of the file is no import of the file.
    if (code[index] === " ") return;
    const line = uncommented.slice(0, index).split("\n").length;
    const target = specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : null;
    found.push({ specifier, path: target, clause: clause.trim(), reexport, line });
  };
  for (const match of uncommented.matchAll(STATIC))
    add(match.index, match[3] ?? match[4] ?? "", match[2] ?? "", match[1] === "export");
  for (const match of uncommented.matchAll(DYNAMIC)) add(match.index, match[1] ?? "", "", false);
  return found;
}

/** Groups of files that import each other, each group once, sorted. */
export function importCycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const open: string[] = [];
  const cycles: string[][] = [];
  const visit = (node: string): number => {
    const own = index.size;
    let reach = own;
    index.set(node, own);
    open.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) reach = Math.min(reach, visit(next));
      else if (open.includes(next)) reach = Math.min(reach, index.get(next) ?? own);
    }
    if (reach === own) {
      const group = open.splice(open.indexOf(node));
      if (group.length > 1 || edges.get(node)?.includes(node)) cycles.push(group.toSorted());
    }
    return reach;
  };
  for (const node of edges.keys()) if (!index.has(node)) visit(node);
  return cycles;
}
