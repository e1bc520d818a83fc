import type { Fields } from "@islandflow/bus";

const STRIKES = 11;
const STRIKE_STEP = 5;

/** An option print near the money of the last quote seen. */
export function synthetic(seq: number, underlying: number): Fields {
  const middle = Math.round(underlying / STRIKE_STEP) * STRIKE_STEP;
  const strike = middle + ((seq % STRIKES) - (STRIKES - 1) / 2) * STRIKE_STEP;
  const right = seq % 2 === 0 ? "call" : "put";
  const intrinsic = Math.max(0, right === "call" ? underlying - strike : strike - underlying);
  return { symbol: "ISLE", right, strike, price: Math.round((1 + intrinsic) * 100) / 100, size: 1 + (seq % 7) };
}
