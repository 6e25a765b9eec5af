/**
 * Node's own HTTP. Not imported: an import asks a module for all that it exports, and this one would load the client behind
 * `fetch` with it, which costs the start of a process 50 ms and 15 MiB.
 */
export const { createServer, STATUS_CODES } = process.getBuiltinModule("node:http");
export const { createServer: createTlsServer } = process.getBuiltinModule("node:https");
