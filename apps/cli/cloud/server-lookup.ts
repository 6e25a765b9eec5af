import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { CloudClient } from "./cloud-client.ts";

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** The id of a server that is named by id or name. Throws `cli.no_server`. */
export async function resourceIdOf(cloud: CloudClient, server: string): Promise<string> {
  if (UUID.test(server)) return server;
  // Compute takes the name as a regular expression.
  const name = `^${server.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
  const find = async (more: Record<string, string>) =>
    (await cloud.get("/compute/v2.1/servers", { name, limit: "2", ...more })) as { servers: readonly { id: string }[] };
  const { servers } = await find({ all_tenants: "1" }).catch((error: unknown) => {
    // Who is no administrator looks among the project's own.
    if (error instanceof CloudError && error.kind === "forbidden") return find({});
    throw error;
  });
  const [only, other] = servers;
  if (!only) throw new CloudError("notFound", "cli.no_server", `There is no server '${server}'.`);
  if (other)
    throw new CloudError("conflict", "cli.several_servers", `Several servers are called '${server}': give an id.`);
  return only.id;
}
