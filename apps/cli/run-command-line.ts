import { readFileSync } from "node:fs";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { type CommandEntry, helpOf, parseArguments } from "./command.ts";
import { commands } from "./commands.ts";
import { didYouMean } from "./did-you-mean.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

interface Output {
  out(text: string): void;
  err(text: string): void;
}

/** Runs what was typed after `pileus`; resolves to the exit code: 0, 1 failed, 2 wrong usage, or the command's own. */
export async function runCommandLine(argv: readonly string[], { out, err }: Output): Promise<number> {
  const [first] = argv;
  if (first === "--version" || first === "version") {
    out(`pileus ${version()}\n`);
    return 0;
  }
  if (first === undefined || first === "--help" || first === "-h" || first === "help") {
    out(overview(commands));
    return first === undefined ? EXIT_USAGE : 0;
  }
  const wantsHelp = argv.includes("--help") || argv.includes("-h");
  const group = commands.filter((each) => each.name.startsWith(`${first} `));
  if (group.length > 0 && wantsHelp && argv[1]?.startsWith("-")) {
    out(overview(group));
    return 0;
  }
  const found = find(argv);
  if (!found) {
    err(`pileus: ${unknown(argv, group)}\n`);
    return EXIT_USAGE;
  }
  const { entry, rest } = found;
  try {
    const command = await entry.load();
    if (wantsHelp) {
      out(helpOf(entry, command));
      return 0;
    }
    return await command.run(parseArguments(entry.name, command, rest));
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    const isUsage = error.code === "cli.usage";
    err(`pileus: ${error.message}${isUsage ? ` See 'pileus ${entry.name} --help'.` : ""}\n`);
    return isUsage ? EXIT_USAGE : EXIT_FAILED;
  }
}

/** The command that the arguments begin with; a group without a word of its own lists. */
function find(argv: readonly string[]): { entry: CommandEntry; rest: readonly string[] } | undefined {
  const [first = "", second] = argv;
  const named = (name: string) => commands.find((each) => each.name === name);
  const two = second === undefined ? undefined : named(`${first} ${second}`);
  if (two) return { entry: two, rest: argv.slice(2) };
  const one = named(first) ?? (second === undefined || second.startsWith("-") ? named(`${first} list`) : undefined);
  return one && { entry: one, rest: argv.slice(1) };
}

function unknown(argv: readonly string[], group: readonly CommandEntry[]): string {
  const [first = "", second = ""] = argv;
  if (group.length > 0) {
    const words = group.map((each) => each.name.slice(first.length + 1));
    const hint = didYouMean(second, words);
    const suggestion = hint === null ? `There are ${words.join(", ")}.` : `Did you mean '${first} ${hint}'?`;
    return `'${first}' has no '${second}'. ${suggestion}`;
  }
  const hint = didYouMean(first, [...new Set(commands.map((each) => each.name.split(" ")[0] ?? ""))]);
  return `there is no command '${first}'. ${hint === null ? "'pileus --help' lists them." : `Did you mean '${hint}'?`}`;
}

function overview(listed: readonly CommandEntry[]): string {
  const width = Math.max(...listed.map((each) => each.name.length)) + 2;
  const rows = listed.map((each) => `  ${each.name.padEnd(width)}${each.summary}`);
  return `${[
    "Pileus: a small cloud that speaks the OpenStack APIs.",
    "",
    "Usage: pileus COMMAND [options]",
    "",
    ...rows,
    "",
    "'pileus COMMAND --help' tells more about one; 'pileus --version' tells the version.",
  ].join("\n")}\n`;
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
