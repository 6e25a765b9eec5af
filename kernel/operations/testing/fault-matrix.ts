import { after, before, describe, test } from "node:test";
import type { Operation } from "../definition.ts";
import { type FaultCase, forwardCases, lastUndoable, type Survey, surveyKey, undoCases } from "./fault-cases.ts";
import { type FaultMatrixOptions, type FaultWorld, runFaultCase } from "./fault-run.ts";
import { ReusableStore } from "./reusable-store.ts";

export interface MatrixSettings {
  /** Tells several matrices of one operation apart: `from a volume`. */
  name?: string;
}

/**
 * Registers tests that break the operation in every way, at every step that a run without a fault reaches, and demand
 * the clean slate, on both stores; on PostgreSQL where `PILEUS_TEST_POSTGRES` names a server. Steps that are skipped here
 * are listed as skipped: give them a matrix of their own.
 */
export function faultMatrix<Input, World extends FaultWorld>(
  definition: Operation<Input>,
  options: FaultMatrixOptions<Input, World> & MatrixSettings,
): void {
  const variant = options.name ? ` ${options.name}` : "";
  for (const dialect of ["sqlite", "postgres"] as const) {
    const missing = dialect === "postgres" && !process.env.PILEUS_TEST_POSTGRES;
    const skip = missing ? "PILEUS_TEST_POSTGRES names no server; npm test starts one" : false;
    describe(`faults of ${definition.name}${variant} (${dialect})`, { skip }, () => {
      let database: ReusableStore;
      before(async () => {
        database = await ReusableStore.open(dialect, options.migrations);
      });
      after(async () => await database?.dispose());
      test("every step and every fault", async (t) => {
        const matrix = new Matrix(database, definition, options);
        const cases = await matrix.plan();
        for (const step of matrix.unreached()) await t.test(step, { skip: "its `when` leaves it out here" });
        for (const each of cases) await t.test(each.name, async () => void (await matrix.run(each)));
      });
    });
  }
}

/** The names and reasons of the cases that fail: for tests that the matrix catches what it must. */
export async function matrixFailures<Input, World extends FaultWorld>(
  definition: Operation<Input>,
  options: FaultMatrixOptions<Input, World>,
): Promise<Map<string, string>> {
  const database = await ReusableStore.open("sqlite", options.migrations);
  const failures = new Map<string, string>();
  try {
    const matrix = new Matrix(database, definition, options);
    for (const each of await matrix.plan()) {
      await matrix.run(each).catch((error: unknown) => failures.set(each.name, String(error)));
    }
  } finally {
    await database.dispose();
  }
  return failures;
}

class Matrix<Input, World extends FaultWorld> {
  readonly #database: ReusableStore;
  readonly #definition: Operation<Input>;
  readonly #options: FaultMatrixOptions<Input, World>;
  #success: Survey | undefined;

  constructor(database: ReusableStore, definition: Operation<Input>, options: FaultMatrixOptions<Input, World>) {
    this.#database = database;
    this.#definition = definition;
    this.#options = options;
  }

  /** Runs the operation without a fault, and once with a failure that undoes the most, to see what there is to break. */
  async plan(): Promise<FaultCase[]> {
    const success = await this.run();
    this.#success = success;
    const cases = forwardCases(this.#definition, success);
    const provoke = lastUndoable(this.#definition, success);
    if (provoke === undefined) return cases;
    const fault = { kind: "fail", step: provoke, phase: "do", when: "worked", entry: 1 } as const;
    const undone = await this.run({ name: "survey", fault, provoke: undefined, endings: ["undone"] }, false);
    return [...cases, ...undoCases(this.#definition, undone, provoke)];
  }

  unreached(): string[] {
    const reached = this.#success?.entries;
    return this.#definition.steps.map((s) => s.name).filter((name) => !reached?.has(surveyKey("do", name)));
  }

  async run(faultCase?: FaultCase, checked = true): Promise<Survey> {
    await this.#database.reset();
    return await runFaultCase(this.#database.store, this.#definition, this.#options, faultCase, checked);
  }
}
