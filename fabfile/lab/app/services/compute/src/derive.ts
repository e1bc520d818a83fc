import type { Event, Fields } from "@islandflow/bus";

const LARGE_PREMIUM = 100_000;

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function premium({ fields }: Event): number {
  return Math.round(Number(fields.price) * Number(fields.size) * 100);
}

export function signal(print: Event): Fields {
  return { ...print.fields, premium: premium(print) };
}

export function packet(prints: Event[]): Fields {
  return {
    first: prints[0]?.seq ?? 0,
    last: prints.at(-1)?.seq ?? 0,
    premium: sum(prints.map(premium)),
    contracts: sum(prints.map((print) => Number(print.fields.size))),
  };
}

export function classify(flow: Fields): Fields {
  return { ...flow, class: Number(flow.premium) >= LARGE_PREMIUM ? "institutional" : "retail" };
}

export function join(print: Event, quote: Fields | undefined): Fields {
  return { ...print.fields, bid: quote?.bid ?? 0, ask: quote?.ask ?? 0 };
}
