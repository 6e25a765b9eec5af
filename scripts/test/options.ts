import { parseArgs } from "node:util";
import { STAGES, type StageName } from "./stages.ts";

export interface TestOptions {
  /** Empty: all. */
  only: readonly StageName[];
  /** Files or folders, relative to the repository; empty: all. */
  paths: readonly string[];
  keepGoing: boolean;
  mayInstall: boolean;
  list: boolean;
  help: boolean;
}

export const HELP = `Usage: npm test [-- OPTIONS] [FILE | FOLDER ...]

Installs what is missing, starts a private PostgreSQL, and runs the stages in order, stopping after the first that fails.
With files or folders, only the tests there.

  --only STAGE,...  only these stages: ${STAGES.map(({ name }) => name).join(", ")}
  --keep-going      run the later stages even after a failure
  --no-install      install no system packages; stages that miss some are skipped (with CI=true: fail)
  --list            show stages and their files, run nothing
  --help            this text

Tests find PostgreSQL in PILEUS_TEST_POSTGRES (postgres://…, a superuser's); when you set it yourself, that server is used.
`;

/** Throws an Error with a sentence for the user. */
export function parseOptions(args: readonly string[]): TestOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true, default: [] },
      "keep-going": { type: "boolean", default: false },
      "no-install": { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return {
    only: values.only.flatMap((list) => list.split(",")).map(stageName),
    paths: positionals.map((path) => path.replace(/^\.\//, "").replace(/\/+$/, "")),
    keepGoing: values["keep-going"],
    mayInstall: !values["no-install"],
    list: values.list,
    help: values.help,
  };
}

function stageName(text: string): StageName {
  const stage = STAGES.find(({ name }) => name === text.trim());
  if (!stage) throw new Error(`there is no stage '${text}'; stages are ${STAGES.map(({ name }) => name).join(", ")}`);
  return stage.name;
}
