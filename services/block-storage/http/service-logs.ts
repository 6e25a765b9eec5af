import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { isUp } from "../../../kernel/fleet/services.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { LogLevel } from "../../../kernel/log/logger.ts";
import { placeMatches } from "../domain/place.ts";
import type { LogLevels } from "../log-control.ts";
import { listVolumeServices, VOLUME_BINARY, type VolumeService } from "../store/services.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { TextOrNull } from "./schemas.ts";

const RULE = "volume_extension:services:update";
const API = "cinder-api";

const which = {
  binary: Type.Optional(Type.Enum(["", "*", API, VOLUME_BINARY, "cinder-scheduler", "cinder-backup"])),
  server: Type.Optional(TextOrNull),
  prefix: Type.Optional(TextOrNull),
};
const Get = Type.Object(which, { additionalProperties: false });
const Set_ = Type.Object(
  { ...which, level: Type.Optional(Type.String({ pattern: "^(?i:INFO|WARNING|ERROR|DEBUG)$" })) },
  { additionalProperties: false },
);

interface Which {
  readonly binary?: string;
  readonly server?: string | null;
  readonly prefix?: string | null;
}

/** What OpenStack calls our levels. */
const NAMES: Readonly<Record<LogLevel, string>> = { debug: "DEBUG", info: "INFO", warn: "WARNING", error: "ERROR" };
const LEVELS: Readonly<Record<string, LogLevel>> = { DEBUG: "debug", INFO: "info", WARNING: "warn", ERROR: "error" };

/** `PUT /os-services/get-log`, `/set-log`: the levels of real loggers, in this process, the others and the agents. */
export function serviceLogRoutes(deps: FaceDependencies): Route[] {
  const { logs } = deps;
  return [
    route({
      name: "services.get-log",
      method: "PUT",
      path: "/os-services/get-log",
      minVersion: "3.32",
      policy: RULE,
      body: Get,
      async handler(request) {
        request.authorize(RULE);
        const asked: Which = request.body;
        const prefix = asked.prefix ?? "";
        const agents = new Map<string, Promise<LogLevels>>();
        const answers = (await addressed(asked)).map(async ({ record }) => {
          const { node, host, binary_name: binary } = record;
          if (!isAgents(binary)) return { host, binary, levels: await logs.ofProcess(node, prefix) };
          const ofNode = agents.get(node) ?? logs.ofAgent(node, prefix);
          agents.set(node, ofNode);
          return { host, binary, levels: await ofNode };
        });
        if (coversApi(asked) && serverIsHere(asked)) {
          const levels = logs.ofProcess(logs.here, prefix);
          answers.unshift(levels.then((own) => ({ host: logs.here, binary: API, levels: own })));
        }
        const found = await Promise.all(answers).catch(silent);
        return { body: { log_levels: found.map((each) => ({ ...each, levels: named(each.levels) })) } };
      },
    }),
    route({
      name: "services.set-log",
      method: "PUT",
      path: "/os-services/set-log",
      minVersion: "3.32",
      policy: RULE,
      success: 202,
      body: Set_,
      async handler(request) {
        request.authorize(RULE);
        const asked: Which = request.body;
        const level = LEVELS[request.body.level?.toUpperCase() ?? ""];
        if (level === undefined) {
          if (coversApi(asked))
            throw new CloudError("invalid", "block-storage.no_log_level", "A log level must be given.");
          return undefined;
        }
        const prefix = asked.prefix ?? "";
        const records = (await addressed(asked)).map(({ record }) => record);
        const nodes = (agents: boolean) =>
          new Set(records.filter((row) => isAgents(row.binary_name) === agents).map((row) => row.node));
        const processes = nodes(false);
        if (coversApi(asked)) processes.add(logs.here);
        for (const node of processes) await logs.setProcess(node, prefix, level);
        for (const node of nodes(true)) await logs.setAgent(node, prefix, level);
        return undefined;
      },
    }),
  ];

  /** The living services that are meant; the server is one's host or cluster. */
  async function addressed({ binary = "", server }: Which): Promise<VolumeService[]> {
    if (binary === API) return [];
    const services = await listVolumeServices(deps.kernel.store.read, isAll(binary) ? {} : { binary });
    const now = deps.kernel.clock.now();
    return services.filter(({ record }) => {
      if (!isUp(record, now, deps.fleet)) return false;
      if (server === undefined || server === null || server === "") return true;
      return placeMatches(server, record.host) || (record.cluster !== null && placeMatches(server, record.cluster));
    });
  }

  function serverIsHere({ server }: Which): boolean {
    return server === undefined || server === null || server === "" || server === logs.here;
  }
}

function isAll(binary: string): boolean {
  return binary === "" || binary === "*";
}

function coversApi({ binary = "" }: Which): boolean {
  return isAll(binary) || binary === API;
}

/** Agents beat for these; the others are processes of the server. */
function isAgents(binary: string): boolean {
  return binary === VOLUME_BINARY;
}

function named(levels: LogLevels): Record<string, string> {
  return Object.fromEntries(
    Object.entries(levels).map(([logger, level]) => [logger, NAMES[level as LogLevel] ?? level.toUpperCase()]),
  );
}

/** OpenStack's answer when a service that should be there says nothing. */
function silent(error: unknown): never {
  if (!(error instanceof CloudError) || error.kind !== "unavailable") throw error;
  throw new CloudError("unavailable", "block-storage.service_silent", "A service does not tell its log levels.", {
    httpStatus: 500,
    cause: error,
  });
}
