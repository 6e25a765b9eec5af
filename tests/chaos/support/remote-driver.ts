import type { ComputeDriver, GuestEvent } from "../../../agent/drivers/compute/driver.ts";
import type { GuestFacts } from "../../../agent/protocol/compute.ts";
import type { Call } from "../../../agent/runtime/call.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { FromMachine, ToMachine } from "./driver-wire.ts";

interface Asked {
  readonly call: Call | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The compute driver of an agent whose machine is simulated by the process that started it. */
export function remoteDriver(): ComputeDriver {
  const asked = new Map<number, Asked>();
  const listeners = new Set<(event: GuestEvent) => void>();
  let ids = 0;
  const say = (message: ToMachine) => process.send?.(message);

  process.on("message", (message: FromMachine) => {
    if (message.type === "event") {
      for (const listener of listeners) listener(message.event);
      return;
    }
    const waiting = asked.get(message.id);
    if (message.type === "progress") {
      waiting?.call?.progress(message.percent, message.detail);
      return;
    }
    asked.delete(message.id);
    if (message.type === "answer") waiting?.resolve(message.value);
    else waiting?.reject(new CloudError(message.fault.kind, message.fault.code, message.fault.message));
  });

  function ask<T>(act: string, args: unknown[], call: Call | null = null): Promise<T> {
    ids += 1;
    const id = ids;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    asked.set(id, { call, resolve, reject });
    const wire = call && { key: call.key, epoch: call.epoch, deadline: call.deadline };
    say({ type: "act", id, act, args, call: wire });
    const onAbort = () => {
      say({ type: "abort", id });
      reject(call?.signal.reason);
    };
    if (call?.signal.aborted) onAbort();
    call?.signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => call?.signal.removeEventListener("abort", onAbort)) as Promise<T>;
  }

  return {
    kind: "sim",
    probe: () => ask("probe", []),
    async *list() {
      yield* await ask<GuestFacts[]>("list", []);
    },
    inspect: (id) => ask("inspect", [id]),
    ensure: (spec, power, call) => ask("ensure", [spec, power], call),
    ensureAbsent: (id, options, call) => ask("ensureAbsent", [id, options], call),
    ensureStopped: (id, options, call) => ask("ensureStopped", [id, options], call),
    ensurePaused: (id, call) => ask("ensurePaused", [id], call),
    ensureUnpaused: (id, call) => ask("ensureUnpaused", [id], call),
    reboot: (id, options, call) => ask("reboot", [id, options], call),
    consoleLog: (id, lines) => ask("consoleLog", [id, lines]),
    diagnose: (id) => ask("diagnose", [id]),
    openConsole: () => Promise.reject(new CloudError("invalid", "compute.not_supported", "There is no console here.")),
    close: () => Promise.resolve(),
    networking: {
      injectNetworkInfo: (spec, call) => ask("networking.injectNetworkInfo", [spec], call),
      resetNetwork: (spec, call) => ask("networking.resetNetwork", [spec], call),
      ensureNics: (spec, call) => ask("networking.ensureNics", [spec], call),
    },
    coldMigration: {
      serveDisk: (id, call) => ask("coldMigration.serveDisk", [id], call),
      ensureDiskNotServed: (id, call) => ask("coldMigration.ensureDiskNotServed", [id], call),
      receiveDisk: (spec, uri, call) => ask("coldMigration.receiveDisk", [spec, uri], call),
    },
    liveMigration: {
      checkDestination: (spec, options, call) => ask("liveMigration.checkDestination", [spec, options], call),
      measureDisk: (id, call) => ask("liveMigration.measureDisk", [id], call),
      prepareIncoming: (spec, mode, call) => ask("liveMigration.prepareIncoming", [spec, mode], call),
      migrateOut: (id, options, call) => ask("liveMigration.migrateOut", [id, options], call),
      abortMigration: (id, call) => ask("liveMigration.abortMigration", [id], call),
      forceCompleteMigration: (id, call) => ask("liveMigration.forceCompleteMigration", [id], call),
      finishIncoming: (spec, options, call) => ask("liveMigration.finishIncoming", [spec, options], call),
      abandonIncoming: (id, call) => ask("liveMigration.abandonIncoming", [id], call),
    },
    fencing: { fence: (host, id, call) => ask("fencing.fence", [host, id], call) },
    events: {
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  };
}
