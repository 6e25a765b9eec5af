import assert from "node:assert/strict";
import { test } from "node:test";
import type { OperationBody } from "../cloud/operation-body.ts";
import { standing } from "./operation-text.ts";
import { liveView, plainView } from "./operation-view.ts";

function operation(facts: Partial<OperationBody>): OperationBody {
  return {
    id: "b1fdbb5c-1881-48be-8851-4695d8a0e144",
    name: "server.live_migrate",
    resource: { type: "server", id: "58050fb9-4189-43e2-aac9-6fc3136f334e" },
    project_id: null,
    request_id: null,
    state: "running",
    direction: "forward",
    cancelled: false,
    late: false,
    step: "migrate",
    percent: 50,
    fault: null,
    trouble: null,
    attempts: 0,
    waiting_for: [],
    next_run_at: null,
    created_at: "2026-05-01T12:00:00.000000",
    updated_at: "2026-05-01T12:00:00.000000",
    finished_at: null,
    ...facts,
  };
}

const fault = { code: "compute.no_valid_host", message: "No valid host was found." };

test("where an operation stands, in words", () => {
  const words = [
    operation({}),
    operation({ state: "ready", step: null, percent: 0 }),
    operation({ state: "waiting", step: "hold", waiting_for: ["confirm", "revert"] }),
    operation({ attempts: 2, trouble: { code: "agent.lost", message: "The host is silent." }, late: true }),
    operation({ direction: "undo", fault }),
    operation({ state: "done" }),
    operation({ state: "undone", fault }),
    operation({ state: "undone", fault: { ...fault, reason: "3 hosts, 0 up" } }),
    operation({ state: "undone", cancelled: true }),
    operation({ state: "abandoned" }),
  ].map(standing);
  assert.deepEqual(words, [
    "running migrate 50 %",
    "ready 0 %",
    "waiting hold 50 %; waits for confirm or revert",
    "running migrate 50 %; try 3 follows: The host is silent.; late",
    "running migrate 50 %; undoing: No valid host was found.",
    "done",
    "undone: No valid host was found.",
    "undone: No valid host was found. (3 hosts, 0 up)",
    "undone: cancelled",
    "abandoned: a later request took the server over",
  ]);
  const stuck = standing(operation({ state: "stuck", trouble: fault }));
  assert.match(stuck, /^stuck in migrate: No valid host was found\. 'pileus operations retry b1fd/);
});

test("without a terminal: a line per change, none for what says the same", () => {
  const lines: string[] = [];
  const view = plainView((text) => lines.push(text));
  view.show(operation({}));
  view.show(operation({ updated_at: "2026-05-01T12:00:01.000000" }));
  view.show(operation({ state: "done" }));
  assert.deepEqual(lines, [
    "b1fdbb5c  server.live_migrate  server 58050fb9  running migrate 50 %\n",
    "b1fdbb5c  server.live_migrate  server 58050fb9  done\n",
  ]);
});

test("on a terminal: one line per operation, redrawn, the ended above the living", () => {
  const written: string[] = [];
  const view = liveView({ write: (text) => written.push(text), columns: () => 80, rows: () => 10 });
  view.show(operation({}));
  view.show(operation({ id: "ffffffff-1881-48be-8851-4695d8a0e144", percent: 75 }));
  view.show(operation({ state: "done" }));
  assert.equal(written[0], "b1fdbb5c  server.live_migrate  server 58050fb9  [##########..........]  running\n");
  assert.ok(written[1]?.startsWith("\x1b[1A\x1b[J"));
  assert.ok(written[2]?.startsWith("\x1b[2A\x1b[Jb1fdbb5c"));
  assert.match(written[2] ?? "", /done\nffffffff[^\n]*\n$/);
});
