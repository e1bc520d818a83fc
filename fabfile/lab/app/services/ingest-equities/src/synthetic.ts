import type { Fields } from "@islandflow/bus";

const SYMBOL = "ISLE";

function price(seq: number): number {
  return Math.round((100 + 5 * Math.sin(seq / 50)) * 100) / 100;
}

export function print(seq: number): Fields {
  return { symbol: SYMBOL, price: price(seq), size: 1 + (seq % 9) * 100 };
}

export function quote(seq: number): Fields {
  return { symbol: SYMBOL, bid: price(seq) - 0.01, ask: price(seq) + 0.01 };
}
