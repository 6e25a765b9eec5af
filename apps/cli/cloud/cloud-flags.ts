import { homedir } from "node:os";
import type { FlagDefinition, ParsedArguments } from "../command.ts";
import { findCloud } from "./cloud-access.ts";
import { CloudClient } from "./cloud-client.ts";

/** Of every command that talks to a cloud. */
export const cloudFlags: Readonly<Record<string, FlagDefinition>> = {
  cloud: { type: "string", value: "NAME", help: "Cloud of a clouds.yaml to talk to." },
};

export const jsonFlag: Readonly<Record<string, FlagDefinition>> = {
  json: { type: "boolean", help: "Print JSON, for programs." },
};

export const CLOUD_NOTES =
  "The cloud is found as OpenStack's clients find theirs: --cloud or OS_CLOUD names one in a clouds.yaml\n(OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ./.pileus/clouds.yaml, ~/.config/openstack/clouds.yaml,\n/etc/openstack/clouds.yaml); without a name, OS_* variables count first.";

export function connectCloud(args: ParsedArguments): CloudClient {
  return new CloudClient(findCloud(args.text("cloud"), { env: process.env, cwd: process.cwd(), home: homedir() }));
}
