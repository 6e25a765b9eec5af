import { readdirSync } from "node:fs";
import { join } from "node:path";

const FOLDERS = ["kernel", "agent", "services", "apps", "scripts", "bench", "tests"];

/** Every test file of the repository, relative to it, sorted. */
export function testFiles(root: string): string[] {
  const present = readdirSync(root);
  return FOLDERS.filter((folder) => present.includes(folder))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => `${folder}/${path}`),
    )
    .filter((path) => path.endsWith(".test.ts") && !path.includes("/node_modules/") && !path.includes("/fixtures/"))
    .toSorted();
}
