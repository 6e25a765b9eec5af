import type { Static, TSchema } from "typebox";

/** One thing that an agent can be told to do. Names are permanent once shipped (`compute.ensure`). */
export interface VerbDefinition<Input extends TSchema = TSchema, Result extends TSchema = TSchema> {
  readonly input: Input;
  readonly result: Result;
}

export type InputOf<V> = V extends VerbDefinition<infer I, TSchema> ? Static<I> : never;
export type ResultOf<V> = V extends VerbDefinition<TSchema, infer R> ? Static<R> : never;

export function verb<I extends TSchema, R extends TSchema>(input: I, result: R): VerbDefinition<I, R> {
  return { input, result };
}
