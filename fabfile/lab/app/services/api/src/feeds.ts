import type { Kind } from "@islandflow/bus";

/** What the api consumes, keeps in ClickHouse and pushes to its websockets. */
export const KEPT = [
  "option-prints",
  "equity-prints",
  "equity-candles",
  "flow-packets",
  "alerts",
] as const satisfies Kind[];

export function tableOf(kind: Kind): string {
  return kind.replaceAll("-", "_");
}
