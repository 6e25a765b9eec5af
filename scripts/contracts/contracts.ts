import type { ServedFace } from "../../kernel/http/server.ts";
import { agentProtocol } from "./agent-protocol.ts";
import { errorCodesDocument, errorSources } from "./error-codes.ts";
import { openApi } from "./openapi.ts";

/** Serves what `compute` does, frozen at one version. */
const NO_DOCUMENT = ["compute-legacy"];

/** Every generated document by its path in the repository. */
export function contracts(root: string, faces: readonly ServedFace[]): Map<string, string> {
  return new Map([
    ...faces
      .filter(({ face }) => !NO_DOCUMENT.includes(face.name))
      .map((served) => [`contracts/openapi/${served.face.name}.json`, json(openApi(served))] as const),
    ["contracts/agent-protocol.json", json(agentProtocol())],
    ["contracts/error-codes.md", errorCodesDocument(errorSources(root))],
  ]);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
