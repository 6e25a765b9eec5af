import type { TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { VerbDefinition } from "../protocol/verb.ts";

/** Validates command inputs; each schema is compiled on first use, once for all agents that share this object. */
export class SchemaChecks {
  readonly #compiled = new Map<TSchema, Validator>();

  /** Throws `agent.invalid_input` naming the first place that does not fit. */
  requireInput(verb: string, definition: VerbDefinition, input: unknown): void {
    let validator = this.#compiled.get(definition.input);
    if (!validator) {
      validator = Compile(definition.input);
      this.#compiled.set(definition.input, validator);
    }
    if (validator.Check(input)) return;
    const first = validator.Errors(input)[0];
    throw new CloudError("invalid", "agent.invalid_input", `The input of ${verb} does not fit its schema.`, {
      internal: `${first?.instancePath ?? ""} ${first?.message ?? ""}`,
    });
  }
}
