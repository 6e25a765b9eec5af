import { readFileSync } from "node:fs";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

/** The text of a file that a flag names. Throws `cli.unreadable_file`: `--policy /nope cannot be read: there is no such file.` */
export function readableFile(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const problem = `${flag} ${path} cannot be read: ${reasonOf(cause)}.`;
    throw new CloudError("invalid", "cli.unreadable_file", problem, { cause });
  }
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "there is no such file";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
      return "this user may not";
    default:
      return `the system refuses (${code})`;
  }
}
