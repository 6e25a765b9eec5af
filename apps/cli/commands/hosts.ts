import { chmod, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { CloudClient } from "../cloud/cloud-client.ts";
import { CLOUD_NOTES, cloudFlags, connectCloud, jsonFlag } from "../cloud/cloud-flags.ts";
import type { Command } from "../command.ts";
import { shortTime } from "../output/operation-text.ts";
import { table } from "../output/table.ts";

interface HostBody {
  readonly name: string;
  readonly last_seen: string | null;
  readonly services: readonly { binary: string; status: string; state: string }[];
}

export const hostsListCommand: Command = {
  flags: { ...cloudFlags, ...jsonFlag },
  notes: CLOUD_NOTES,
  async run(args) {
    const { hosts } = (await connectCloud(args).get("/v1/hosts")) as { hosts: readonly HostBody[] };
    if (args.has("json")) process.stdout.write(`${JSON.stringify(hosts, null, 2)}\n`);
    else if (hosts.length === 0)
      process.stdout.write("No host has joined yet. 'pileus hosts token --help' tells how one does.\n");
    else process.stdout.write(table(["HOST", "LAST SEEN (UTC)", "SERVICES"], hosts.map(hostRow)));
    return 0;
  },
};

function hostRow({ name, last_seen, services }: HostBody): string[] {
  const provided = services.map(({ binary, status, state }) =>
    status === "enabled" ? `${binary} ${state}` : `${binary} ${state}, ${status}`,
  );
  return [name, last_seen === null ? "never" : shortTime(last_seen), provided.join("; ")];
}

export const hostsTokenCommand: Command = {
  positionals: ["[HOST]"],
  flags: {
    ...cloudFlags,
    out: { type: "string", value: "FILE", help: "Write the token to this file (mode 600) instead of printing it." },
  },
  notes: `Valid once, for an hour; with HOST for that host only. On the host:\n  pileus agent --host HOST --server URL --join-token-file FILE\n\n${CLOUD_NOTES}`,
  async run(args) {
    const [host] = args.positionals;
    const cloud = connectCloud(args);
    const { token } = (await cloud.post("/v1/hosts/tokens", host === undefined ? {} : { host })) as { token: string };
    const file = args.text("out");
    const joining = (path: string) => joiningText(host ?? "NAME", cloud, path);
    if (file === null) {
      process.stdout.write(`${token}\n`);
      // Beside the token, so that a script gets that alone.
      process.stderr.write(`Valid once within an hour. Put it into a file that only you can read. ${joining("FILE")}`);
      return 0;
    }
    await writeFile(file, "", { mode: 0o600 });
    await chmod(file, 0o600);
    await writeFile(file, `${token}\n`);
    process.stdout.write(`Token in ${file}, valid once within an hour. ${joining(file)}`);
    return 0;
  },
};

/** What to type on a host that is to join. */
export function joiningText(host: string, cloud: Pick<CloudClient, "baseUrl" | "caFile">, tokenFile: string): string {
  const { baseUrl, caFile } = cloud;
  const where = caFile === null ? "On the host:" : `On the host, with a copy of ${caFile}:`;
  const authority = caFile === null ? "" : ` --ca-file ${basename(caFile)}`;
  return `${where}\n  pileus agent --host ${host} --server ${baseUrl}${authority} --join-token-file ${tokenFile}\n`;
}
