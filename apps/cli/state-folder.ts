import { mkdirSync } from "node:fs";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

/** Makes the state folder when it is missing. Throws `cli.no_state_folder`, which names it. */
export function ensureStateFolder(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new CloudError(
      "invalid",
      "cli.no_state_folder",
      `--state ${stateDir} cannot be a folder: ${reasonOf(cause)}.`,
      {
        cause,
      },
    );
  }
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  switch (code) {
    case "EEXIST":
      return "it is a file";
    case "ENOTDIR":
      return "a file is in its path";
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "this user may not make it";
    default:
      return `the system refuses (${code})`;
  }
}
