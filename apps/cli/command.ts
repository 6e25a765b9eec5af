import { parseArgs } from "node:util";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { didYouMean } from "./did-you-mean.ts";

export interface FlagDefinition {
  readonly type: "string" | "boolean";
  /** `HOST:PORT`, for the help. */
  readonly value?: string;
  readonly help: string;
  readonly default?: string;
}

/** A command as the overview knows it; what it needs to run is loaded when it is called. */
export interface CommandEntry {
  /** `operations list` */
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

export interface Command {
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
  readonly #values: ReadonlyMap<string, string | true>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, string | true>) {
    this.positionals = positionals;
    this.#values = values;
  }

  text(flag: string): string | null {
    const value = this.#values.get(flag);
    return typeof value === "string" ? value : null;
  }

  has(flag: string): boolean {
    return this.#values.get(flag) === true;
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
export function parseArguments(name: string, command: Command, argv: readonly string[]): ParsedArguments {
  const options = Object.fromEntries(Object.entries(command.flags).map(([flag, { type }]) => [flag, { type }]));
  const { tokens } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: false, tokens: true });
  const values = new Map<string, string | true>();
  for (const [flag, { default: standard }] of Object.entries(command.flags))
    if (standard !== undefined) values.set(flag, standard);
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind === "option") values.set(token.name, checkedValue(name, command, token));
  }
  const wanted = command.positionals ?? [];
  const needed = wanted.filter((each) => !each.startsWith("[")).length;
  if (positionals.length < needed) throw usageError(`'${name}' needs ${wanted[positionals.length]}.`);
  if (positionals.length > wanted.length) throw usageError(`'${name}' does not take '${positionals[wanted.length]}'.`);
  return new ParsedArguments(positionals, values);
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function checkedValue(name: string, command: Command, { name: flag, rawName, value, inlineValue }: OptionToken) {
  const definition = command.flags[flag];
  if (!definition) {
    const hint = didYouMean(flag, Object.keys(command.flags));
    throw usageError(`'${name}' has no option ${rawName}.${hint === null ? "" : ` Did you mean --${hint}?`}`);
  }
  if (definition.type === "boolean") {
    if (value !== undefined) throw usageError(`${rawName} takes no value.`);
    return true;
  }
  // '--state --reset' means that the folder was forgotten, not that it is called '--reset'.
  if (value === undefined || (!inlineValue && value.startsWith("--")))
    throw usageError(`${rawName} needs a value: ${rawName} ${definition.value ?? "VALUE"}.`);
  return value;
}

export function helpOf({ name, summary }: CommandEntry, command: Command): string {
  const usage = ["pileus", name, ...(command.positionals ?? []), "[options]"].join(" ");
  const rows = Object.entries(command.flags).map(([flag, definition]) => {
    const left = definition.type === "boolean" ? `--${flag}` : `--${flag} ${definition.value ?? "VALUE"}`;
    const standard = definition.default === undefined ? "" : ` (default ${definition.default})`;
    return [left, `${definition.help}${standard}`] as const;
  });
  rows.push(["--help", "Show this help."]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const table = rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`).join("\n");
  return `${summary}\n\nUsage: ${usage}\n\nOptions:\n${table}\n${command.notes ? `\n${command.notes}\n` : ""}`;
}

export function usageError(message: string): CloudError {
  return new CloudError("invalid", "cli.usage", message);
}
