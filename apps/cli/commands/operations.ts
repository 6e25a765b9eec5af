import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { CloudClient } from "../cloud/cloud-client.ts";
import { CLOUD_NOTES, cloudFlags, connectCloud, jsonFlag } from "../cloud/cloud-flags.ts";
import { hasEnded, OPERATION_STATES, type OperationBody } from "../cloud/operation-body.ts";
import { resourceIdOf } from "../cloud/server-lookup.ts";
import { type Command, type ParsedArguments, usageError } from "../command.ts";
import { shortTime, standing } from "../output/operation-text.ts";
import { facts, table } from "../output/table.ts";

const PAGE = 20;
const print = (text: string): void => void process.stdout.write(text);

export const operationsListCommand: Command = {
  flags: {
    ...cloudFlags,
    state: {
      type: "string",
      value: "STATE,…",
      help: `Only these: ${OPERATION_STATES.join(", ")}.`,
    },
    server: { type: "string", value: "ID|NAME", help: "Only those on this server." },
    name: { type: "string", value: "NAME", help: "Only this kind: server.live_migrate." },
    limit: { type: "string", value: "N", default: String(PAGE), help: "At most this many." },
    marker: { type: "string", value: "ID", help: "Start behind this operation: the next page." },
    ...jsonFlag,
  },
  notes: CLOUD_NOTES,
  async run(args) {
    const limit = args.count("limit", 1) ?? PAGE;
    const state = statesOf(args.text("state"));
    const cloud = connectCloud(args);
    const server = args.text("server");
    const { operations, links } = (await cloud.get("/v1/operations", {
      state,
      name: args.text("name"),
      resource_id: server === null ? null : await resourceIdOf(cloud, server),
      limit: String(limit),
      marker: args.text("marker"),
    })) as { operations: readonly OperationBody[]; links?: readonly unknown[] };
    if (args.has("json")) {
      print(`${JSON.stringify(operations, null, 2)}\n`);
      return 0;
    }
    if (operations.length === 0) {
      print("No operations.\n");
      return 0;
    }
    print(table(["ID", "OPERATION", "RESOURCE", "STARTED (UTC)", "STANDING"], operations.map(operationRow)));
    const last = operations.at(-1);
    if (links && last) print(`More: add --marker ${last.id}\n`);
    return 0;
  },
};

function operationRow(operation: OperationBody): string[] {
  const { id, name, resource, created_at } = operation;
  return [id, name, `${resource.type} ${resource.id}`, shortTime(created_at), standing(operation)];
}

export const operationsShowCommand: Command = {
  positionals: ["ID"],
  flags: { ...cloudFlags, ...jsonFlag },
  notes: CLOUD_NOTES,
  async run(args) {
    const { operation } = (await connectCloud(args).get(pathOf(args))) as { operation: OperationBody };
    print(args.has("json") ? `${JSON.stringify(operation, null, 2)}\n` : described(operation));
    return 0;
  },
};

function described(operation: OperationBody): string {
  const { id, name, resource, project_id, request_id, created_at, updated_at, finished_at, next_run_at } = operation;
  const head = facts([
    ["id", id],
    ["operation", name],
    ["resource", `${resource.type} ${resource.id}`],
    ["standing", standing(operation)],
    ["project", project_id ?? "none"],
    ["request", request_id ?? "none"],
    ["started", `${shortTime(created_at)} UTC`],
    finished_at === null ? ["changed", `${shortTime(updated_at)} UTC`] : ["ended", `${shortTime(finished_at)} UTC`],
    ...(next_run_at === null ? [] : [["looked at next", `${shortTime(next_run_at)} UTC`] as const]),
  ]);
  const steps = (operation.steps ?? []).map((step) => [
    step.step,
    step.state,
    step.host ?? "",
    shortTime(step.started_at),
    shortTime(step.finished_at),
    step.fault?.message ?? "",
  ]);
  return steps.length === 0
    ? head
    : `${head}\n${table(["STEP", "STATE", "HOST", "STARTED (UTC)", "ENDED (UTC)", "FAULT"], steps)}`;
}

export const operationsCancelCommand: Command = {
  positionals: ["ID"],
  flags: cloudFlags,
  notes: `It undoes what it did. Past the step from which it only goes forward, that is refused.\n\n${CLOUD_NOTES}`,
  async run(args) {
    await act(connectCloud(args), args, "cancel");
    print(`Asked to cancel. Follow it with: pileus operations watch ${args.positionals[0]}\n`);
    return 0;
  },
};

export const operationsRetryCommand: Command = {
  positionals: ["ID"],
  flags: cloudFlags,
  notes: `A stuck operation also tries again by itself, but slowly.\n\n${CLOUD_NOTES}`,
  async run(args) {
    await act(connectCloud(args), args, "retry");
    print(`It tries again. Follow it with: pileus operations watch ${args.positionals[0]}\n`);
    return 0;
  },
};

/** One that has ended is told apart from one that never was. */
async function act(cloud: CloudClient, args: ParsedArguments, verb: "cancel" | "retry"): Promise<void> {
  const { operation } = (await cloud.get(pathOf(args))) as { operation: OperationBody };
  if (hasEnded(operation)) {
    const problem = `Operation ${operation.id} is ${operation.state} already; there is nothing to ${verb}.`;
    throw new CloudError("conflict", "cli.operation_ended", problem);
  }
  await cloud.post(`${pathOf(args)}/${verb}`);
}

function statesOf(text: string | null): string | null {
  const wrong = text?.split(",").find((each) => !OPERATION_STATES.some((state) => state === each.trim()));
  if (wrong !== undefined) throw usageError(`--state takes ${OPERATION_STATES.join(", ")}, not '${wrong.trim()}'.`);
  return text;
}

function pathOf(args: ParsedArguments): string {
  return `/v1/operations/${encodeURIComponent(args.positionals[0] ?? "")}`;
}
