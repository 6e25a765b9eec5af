import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "../results");

export interface Section {
  /** File under `bench/results/`. */
  readonly name: string;
  readonly title: string;
  /** How to repeat it, and what is compared. */
  readonly how: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes?: readonly string[];
}

/** Keeps a section, shows it, and writes `bench/RESULTS.md` from the latest of each. */
export async function publish(section: Section): Promise<void> {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const text = [
    `## ${section.title}`,
    "",
    section.how,
    "",
    line(section.head),
    line(section.head.map(() => "---")),
    ...section.rows.map(line),
    ...(section.notes ?? []).flatMap((note) => ["", note]),
    "",
    `Measured ${new Date().toISOString().slice(0, 10)} on ${machine()}: \`npm run bench -- ${section.name}\`.`,
    "",
  ].join("\n");
  console.log(text);
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${section.name}.md`), text);
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".md")).toSorted();
  const sections = await Promise.all(names.map((name) => readFile(join(FOLDER, name), "utf8")));
  await writeFile(join(FOLDER, "../RESULTS.md"), `${INTRODUCTION}\n${sections.join("\n")}`);
}

const INTRODUCTION = `# Results

Written by \`npm run bench\`. The numbers that count are ratios: both sides were measured in the same run, on a machine that other work shared.
Absolute figures say what that machine did that day, no more.
`;

function machine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model.trim() ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}
