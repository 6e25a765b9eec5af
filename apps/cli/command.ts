import { parseArgs } from "node:util";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

export interface FlagDefinition {
  readonly type: "string" | "boolean";
  /** `HOST:PORT`, for the help. */
  readonly value?: string;
  readonly help: string;
  readonly default?: string;
}

export interface CommandDefinition {
  /** `operations list` */
  readonly name: string;
  readonly summary: string;
  /** Names of positional arguments for the help: `ID`, `[HOST]`. */
  readonly positionals?: readonly string[];
  readonly flags: Readonly<Record<string, FlagDefinition>>;
  /** More about it, after the flags. */
  readonly notes?: string;
  /** Resolves to the exit code. */
  run(args: ParsedArguments): Promise<number>;
}

/** What the user typed, checked against the command's flags. */
export class ParsedArguments {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, string | boolean | undefined>>;

  constructor(positionals: readonly string[], values: Readonly<Record<string, string | boolean | undefined>>) {
    this.positionals = positionals;
    this.#values = values;
  }

  text(flag: string): string | null {
    const value = this.#values[flag];
    return typeof value === "string" ? value : null;
  }

  has(flag: string): boolean {
    return this.#values[flag] === true;
  }

  /** A whole number of at least `min`; null when the flag is absent. */
  count(flag: string, min: number): number | null {
    const text = this.text(flag);
    if (text === null) return null;
    const value = Number(text);
    if (!Number.isInteger(value) || value < min)
      throw usageError(`--${flag} takes a whole number of at least ${min}, not '${text}'.`);
    return value;
  }
}

/** Throws `cli.usage` with what is wrong. */
export function parseArguments(command: CommandDefinition, argv: readonly string[]): ParsedArguments {
  const options = Object.fromEntries(
    Object.entries(command.flags).map(([name, flag]) => [
      name,
      flag.default === undefined ? { type: flag.type } : { type: flag.type, default: flag.default },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    const wanted = command.positionals ?? [];
    const needed = wanted.filter((name) => !name.startsWith("[")).length;
    if (positionals.length < needed) throw usageError(`${command.name} needs ${wanted[positionals.length]}.`);
    if (positionals.length > wanted.length)
      throw usageError(`${command.name} does not take '${positionals[wanted.length]}'.`);
    return new ParsedArguments(positionals, values as Record<string, string | boolean | undefined>);
  } catch (error) {
    if (error instanceof TypeError) throw usageError(error.message);
    throw error;
  }
}

export function helpOf(command: CommandDefinition): string {
  const usage = ["pileus", command.name, ...(command.positionals ?? []), "[options]"].join(" ");
  const rows = Object.entries(command.flags).map(([name, flag]) => {
    const left = flag.type === "boolean" ? `--${name}` : `--${name} ${flag.value ?? "VALUE"}`;
    const standard = flag.default === undefined ? "" : ` (default ${flag.default})`;
    return [left, `${flag.help}${standard}`] as const;
  });
  rows.push(["--help", "Show this help."]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const table = rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`).join("\n");
  return `${command.summary}\n\nUsage: ${usage}\n\nOptions:\n${table}\n${command.notes ? `\n${command.notes}\n` : ""}`;
}

export function usageError(message: string): CloudError {
  return new CloudError("invalid", "cli.usage", message);
}
