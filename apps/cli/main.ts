import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { type CommandDefinition, helpOf, parseArguments } from "./command.ts";
import { commands } from "./commands.ts";

const EXIT_USAGE = 2;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  if (argv.length === 0 || argv[0] === "--help" || argv[0] === "-h" || argv[0] === "help") {
    process.stdout.write(overview());
    return argv.length === 0 ? EXIT_USAGE : 0;
  }
  const found = find(argv);
  if (!found) {
    process.stderr.write(`pileus: there is no command '${argv.slice(0, 2).join(" ")}'. 'pileus --help' lists them.\n`);
    return EXIT_USAGE;
  }
  const { command, rest } = found;
  if (rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(helpOf(command));
    return 0;
  }
  try {
    return await command.run(parseArguments(command, rest));
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    process.stderr.write(`pileus: ${error.message}\n`);
    return error.code === "cli.usage" ? EXIT_USAGE : 1;
  }
}

/** The command with the longest name that the arguments begin with. */
function find(argv: readonly string[]): { command: CommandDefinition; rest: readonly string[] } | undefined {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const command = commands.find((each) => each.name === name);
    if (command && argv.length >= words) return { command, rest: argv.slice(words) };
  }
  return undefined;
}

function overview(): string {
  const width = Math.max(...commands.map((c) => c.name.length)) + 2;
  const list = commands.map((c) => `  ${c.name.padEnd(width)}${c.summary}`).join("\n");
  return `Pileus: a small cloud that speaks the OpenStack APIs.\n\nUsage: pileus COMMAND [options]\n\n${list}\n\n'pileus COMMAND --help' tells more about one.\n`;
}
