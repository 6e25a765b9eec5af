import { credentialPaths } from "../../server/credential-files.ts";
import type { ServerProgram } from "../../server/program.ts";
import type { ServerSettings } from "../../server/settings.ts";

/** What a person reads when the cloud is up: where it is and what to try. */
export function greeting(server: ServerProgram, { stateDir }: ServerSettings, hosts: string): string[] {
  const files = credentialPaths(stateDir);
  const next = [
    "",
    "Try next, in another terminal (python3-openstackclient):",
    `  export OS_CLIENT_CONFIG_FILE=${files.clouds} OS_CLOUD=pileus`,
    "  openstack compute service list",
    "  openstack server create --image pileus-guest --flavor m1.tiny --network private --wait demo",
    "  openstack console log show demo",
    "  openstack --os-compute-api-version 2.30 server migrate --live-migration --wait demo",
    `Or: source ${files.openrc}`,
  ];
  return [
    "",
    `Pileus is up at ${server.publicUrl} with ${hosts}.`,
    ...(server.cloud.credentialsWritten ? next : []),
    "",
    "Ctrl-C stops it.",
  ];
}
