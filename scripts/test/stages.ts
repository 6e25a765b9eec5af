import type { CapabilityName } from "../../apps/cli/system-packages.ts";

export type StageName = "types" | "lint" | "unit" | "service" | "arch" | "real" | "contract" | "chaos" | "browser";

/** Tests of one kind, run together. */
export interface Stage {
  readonly name: StageName;
  readonly about: string;
  /** Test files it takes; absent for stages that check the whole source. */
  readonly takes?: (path: string) => boolean;
  readonly needs: readonly CapabilityName[];
  /**
   * "shared": many files share a process, which saves starting Node for each. Only for tests that leave the process as
   * they found it. A number: a process per file, so many at a time.
   */
  readonly processes: "shared" | number;
  /** Limit for one test, and for the stage. */
  readonly testMinutes: number;
  readonly stageMinutes: number;
}

const SOURCE = /^(kernel|agent|services|apps|scripts|bench)\//;
const isReal = (path: string) => path.endsWith(".real.test.ts");
const under = (folder: string) => (path: string) => path.startsWith(`${folder}/`) && !isReal(path);

/** In the order in which they run: the sooner a stage can fail, the earlier. */
export const STAGES: readonly Stage[] = [
  { name: "types", about: "tsc --noEmit", needs: [], processes: 1, testMinutes: 5, stageMinutes: 5 },
  { name: "lint", about: "biome check", needs: [], processes: 1, testMinutes: 5, stageMinutes: 5 },
  {
    name: "unit",
    about: "*.test.ts beside the code",
    takes: (path) => SOURCE.test(path) && !isReal(path),
    needs: ["test-database"],
    processes: "shared",
    testMinutes: 10,
    stageMinutes: 40,
  },
  {
    name: "service",
    about: "tests/service: whole services, simulated hosts",
    takes: under("tests/service"),
    needs: ["test-database"],
    processes: 2,
    testMinutes: 5,
    stageMinutes: 15,
  },
  {
    name: "arch",
    about: "tests/arch: rules about the source",
    takes: under("tests/arch"),
    needs: [],
    processes: "shared",
    testMinutes: 1,
    stageMinutes: 5,
  },
  {
    name: "real",
    about: "*.real.test.ts: real drivers and programs",
    takes: isReal,
    needs: ["test-database", "compute"],
    processes: 2,
    testMinutes: 20,
    stageMinutes: 60,
  },
  {
    name: "contract",
    about: "tests/contract: the official clients",
    takes: under("tests/contract"),
    needs: ["test-database", "test-clients", "compute"],
    processes: 2,
    testMinutes: 15,
    stageMinutes: 45,
  },
  {
    name: "chaos",
    about: "tests/chaos: processes killed at random",
    takes: under("tests/chaos"),
    needs: ["test-database", "compute"],
    processes: 1,
    testMinutes: 30,
    stageMinutes: 45,
  },
  {
    name: "browser",
    about: "tests/browser: the console in Chromium",
    takes: under("tests/browser"),
    needs: ["test-browser"],
    processes: 1,
    testMinutes: 5,
    stageMinutes: 20,
  },
];

export interface PlannedStage {
  readonly stage: Stage;
  readonly files: readonly string[];
}

/**
 * The stages to run with their files. A stage without files does not run; one that checks the whole source runs unless
 * paths were asked for. Throws an Error with a sentence when a path matches nothing.
 */
export function planStages(
  files: readonly string[],
  choice: { only: readonly StageName[]; paths: readonly string[] },
): PlannedStage[] {
  for (const path of choice.paths)
    if (!files.some((file) => isWithin(file, path))) throw new Error(`no test file is, or is in, ${path}`);
  const chosen = files.filter((file) => choice.paths.length === 0 || choice.paths.some((path) => isWithin(file, path)));
  return STAGES.flatMap((stage) => {
    const wanted = choice.only.length > 0 ? choice.only.includes(stage.name) : stage.takes || choice.paths.length === 0;
    if (!wanted) return [];
    const taken = stage.takes ? chosen.filter(stage.takes) : [];
    return stage.takes && taken.length === 0 ? [] : [{ stage, files: taken }];
  });
}

/** Splits files over processes by weight, heaviest first, so that they end at about the same time. */
export function shards(files: readonly { path: string; weight: number }[], count: number): string[][] {
  const result = Array.from({ length: Math.min(count, files.length) }, () => ({ weight: 0, paths: [] as string[] }));
  for (const file of files.toSorted((a, b) => b.weight - a.weight || a.path.localeCompare(b.path))) {
    const lightest = result.reduce((a, b) => (b.weight < a.weight ? b : a));
    lightest.weight += file.weight;
    lightest.paths.push(file.path);
  }
  return result.map(({ paths }) => paths);
}

function isWithin(file: string, path: string): boolean {
  return file === path || file.startsWith(`${path}/`);
}
