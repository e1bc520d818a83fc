import { runtime } from "@islandflow/service";
import type { Kind } from "./catalogue";

export type Fields = Record<string, string | number>;

/** One numbered message. Numbers of a kind start at 1 and have no holes. */
export interface Event {
  kind: Kind;
  seq: number;
  at: string;
  runtime: string;
  fields: Fields;
}

export function event(kind: Kind, seq: number, fields: Fields): Event {
  return { kind, seq, at: new Date().toISOString(), runtime, fields };
}

/** Throws on anything that is not a numbered message. */
export function decode(data: string): Event {
  const found = JSON.parse(data) as Event;
  if (!Number.isSafeInteger(found?.seq)) throw new Error("a message without a number");
  return found;
}
