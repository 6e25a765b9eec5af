import { resolve } from "node:path";
import type { LogLevel } from "../../kernel/log/logger.ts";
import type { ServerSettings } from "../server/settings.ts";
import { type FlagDefinition, type ParsedArguments, usageError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";
import { readableFile } from "./readable-file.ts";

const TOKEN_LIFE_MS = 3_600_000;
const LEVELS: readonly string[] = ["debug", "info", "warn", "error"];

export const serverFlags: Readonly<Record<string, FlagDefinition>> = {
  state: {
    type: "string",
    value: "DIR",
    default: "./.pileus",
    help: "Folder for the database, images, credentials and guests.",
  },
  listen: { type: "string", value: "HOST:PORT", default: "127.0.0.1:5000", help: "Address of all APIs." },
  database: {
    type: "string",
    value: "postgres://…",
    help: "PostgreSQL 15 or newer, for several server processes; SQLite in the state folder otherwise.",
  },
  "public-url": { type: "string", value: "URL", help: "Address that clients are told." },
  "trust-forwarded": { type: "boolean", help: "Believe X-Forwarded-* headers; only behind a proxy that sets them." },
  "tls-key": { type: "string", value: "FILE", help: "PEM key; with --tls-cert the APIs are served over HTTPS." },
  "tls-cert": { type: "string", value: "FILE", help: "PEM certificate chain." },
  policy: {
    type: "string",
    value: "FILE",
    help: "policy.yaml or policy.json with rules that replace the defaults; reloaded when it changes.",
  },
  config: {
    type: "string",
    value: "FILE",
    help: "YAML with the sections 'compute', 'block_storage' and 'fleet'; option names are OpenStack's.",
  },
  "cors-origin": { type: "string", value: "ORIGIN", help: "Browser origin that may call the APIs." },
  region: { type: "string", value: "NAME", default: "RegionOne", help: "Region in the catalog." },
  "log-level": { type: "string", value: "LEVEL", default: "info", help: "debug, info, warn or error." },
};

/** Throws `cli.usage`, `cli.config` or `cli.unreadable_file`; looks at nothing but flags and the files that they name. */
export function serverSettings(args: ParsedArguments, env: NodeJS.ProcessEnv): ServerSettings {
  const key = args.text("tls-key");
  const cert = args.text("tls-cert");
  if ((key === null) !== (cert === null)) throw usageError("--tls-key and --tls-cert go together.");
  for (const [flag, file] of [["--tls-key", key] as const, ["--tls-cert", cert] as const])
    if (file !== null) readableFile(flag, file);
  // A URL with a password has no place in a process list.
  const database = args.text("database") ?? env.PILEUS_DATABASE ?? null;
  if (database !== null && !/^postgres(ql)?:\/\//.test(database))
    throw usageError("--database takes a postgres:// URL.");
  const origin = corsOrigin(args.text("cors-origin"));
  const policy = args.text("policy");
  // One that goes later leaves a cloud that runs; one that is not there at the start is a slip of the pen.
  if (policy !== null) readableFile("--policy", policy);
  return {
    stateDir: resolve(args.text("state") ?? "./.pileus"),
    listen: listenAddress(args.text("listen") ?? "127.0.0.1:5000"),
    database,
    publicUrl: publicUrl(args.text("public-url")),
    trustForwarded: args.has("trust-forwarded"),
    tls: key !== null && cert !== null ? { key, cert } : null,
    policyFile: policy === null ? null : resolve(policy),
    corsOrigins: origin === null ? [] : [origin],
    region: region(args.text("region") ?? "RegionOne"),
    tokenLifeMs: TOKEN_LIFE_MS,
    logLevel: logLevel(args),
    ...readConfigFile(args.text("config")),
    adminPassword: env.PILEUS_ADMIN_PASSWORD ?? null,
  };
}

export function logLevel(args: ParsedArguments): LogLevel {
  const level = args.text("log-level") ?? "info";
  if (!LEVELS.includes(level)) throw usageError(`--log-level takes ${LEVELS.join(", ")}.`);
  return level as LogLevel;
}

function listenAddress(text: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match?.[1] || port > 65_535) throw usageError(`--listen takes HOST:PORT, not '${text}'.`);
  return { host: match[1].replace(/^\[|\]$/g, ""), port };
}

function publicUrl(text: string | null): string | null {
  if (text === null) return null;
  const url = httpUrl(text);
  if (url === null || `${url.search}${url.hash}${url.username}` !== "")
    throw usageError(`--public-url takes a URL like https://cloud.example.org, not '${text}'.`);
  return text.replace(/\/+$/, "");
}

function corsOrigin(text: string | null): string | null {
  if (text !== null && text !== "*" && httpUrl(text)?.origin !== text)
    throw usageError(`--cors-origin takes an origin like https://panel.example.org, or *, not '${text}'.`);
  return text;
}

function httpUrl(text: string): URL | null {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) ? url : null;
}

function region(name: string): string {
  if (!/^[^\s/]{1,255}$/.test(name)) throw usageError(`--region takes a name without spaces, not '${name}'.`);
  return name;
}
