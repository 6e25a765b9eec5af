import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { parse } from "yaml";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

const Name = Type.String({ pattern: "^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$" });
const Directory = Type.String({ pattern: "^/" });

/** One pool of volumes, as an administrator describes it. */
export const VolumeBackend = Type.Object(
  {
    name: Name,
    /** Those that have it; all that read the file when absent. */
    hosts: Type.Optional(Type.Array(Name)),
    /** `pileus@shared` when several hosts work on the same `directory`. */
    cluster: Type.Optional(Type.String({ pattern: "^[a-zA-Z0-9._-]+@[a-zA-Z0-9._-]+$" })),
    directory: Directory,
    capacityGiB: Type.Integer({ minimum: 1 }),
    reservedPercent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    zone: Type.Optional(Name),
    replicationTargets: Type.Optional(
      Type.Array(Type.Object({ id: Name, directory: Directory }, { additionalProperties: false })),
    ),
  },
  { additionalProperties: false },
);
export type VolumeBackend = Static<typeof VolumeBackend>;

const VolumeBackends = Type.Array(VolumeBackend);

/** Backends of all hosts that read the YAML or JSON file. Throws `agent.bad_volume_backends`. */
export async function readAllVolumeBackends(file: string): Promise<VolumeBackend[]> {
  const content: unknown = parse(await readFile(file, "utf8"));
  if (!Value.Check(VolumeBackends, content)) {
    const [error] = Value.Errors(VolumeBackends, content);
    throw bad(`${file}: ${error?.instancePath ?? ""} ${error?.message ?? ""}`);
  }
  return content;
}

/** Folders of the backend's arrays: its own, and those that it replicates to. */
export function arraysOf({ directory, replicationTargets = [] }: VolumeBackend): string[] {
  return [directory, ...replicationTargets.map((target) => target.directory)];
}

/** Backends of one host, out of a YAML or JSON file. Throws `agent.bad_volume_backends`. */
export async function readVolumeBackends(file: string, host: string): Promise<VolumeBackend[]> {
  const own = (await readAllVolumeBackends(file)).filter(({ hosts }) => hosts === undefined || hosts.includes(host));
  const directories = own.flatMap(arraysOf).map((path) => resolve(path));
  if (new Set(own.map(({ name }) => name)).size < own.length) throw bad(`${file}: two backends have one name.`);
  if (new Set(directories).size < directories.length) throw bad(`${file}: two arrays have one directory.`);
  return own;
}

function bad(problem: string): CloudError {
  return new CloudError("invalid", "agent.bad_volume_backends", "The file with volume backends is not right.", {
    internal: problem,
    fields: { problem },
  });
}
