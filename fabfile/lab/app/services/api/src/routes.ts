import { type Bus, CATALOGUE, type Kind } from "@islandflow/bus";
import { json } from "@islandflow/service";
import type { Cache, ClickHouse } from "@islandflow/store";
import { KEPT, tableOf } from "./feeds";

const RECENT = 20;

export interface Sources {
  bus: Bus;
  cache: Cache;
  store: ClickHouse;
}

type Answer = (sources: Sources, request: Request, rest: string) => Promise<unknown>;

const kept = (kind: Kind): Answer => async ({ cache }) => ({ kind, ...(await cache.get(kind)) });

const streamed = (kind: Kind): Answer => async ({ bus }) => ({ kind, latest: await bus.last(kind) });

async function replay({ bus }: Sources): Promise<unknown> {
  const kinds = Object.keys(CATALOGUE) as Kind[];
  const states = await Promise.all(kinds.map((kind) => bus.state(kind)));
  return {
    streams: kinds.map((kind, index) => ({
      kind,
      messages: states[index]?.messages,
      first: states[index]?.first_seq,
      last: states[index]?.last_seq,
    })),
  };
}

async function history({ store }: Sources, _request: Request, rest: string): Promise<unknown> {
  const tables = KEPT.map(tableOf);
  if (rest === "counts") {
    const counts = await Promise.all(tables.map((table) => store.counts(table)));
    return Object.fromEntries(tables.map((table, index) => [table, counts[index]]));
  }
  if (tables.includes(rest)) return { table: rest, latest: await store.latest(rest, RECENT) };
  return { tables };
}

async function lookup({ cache }: Sources, request: Request): Promise<unknown> {
  const asked = request.method === "POST" ? await request.text() : "";
  const found = await Promise.all(KEPT.map((kind) => cache.get(kind)));
  return { asked, found: Object.fromEntries(KEPT.map((kind, index) => [kind, found[index]?.latest])) };
}

async function totals({ cache }: Sources): Promise<unknown> {
  const found = await Promise.all(KEPT.map((kind) => cache.get(kind)));
  return { counts: Object.fromEntries(KEPT.map((kind, index) => [kind, found[index]?.count])) };
}

/** Every first segment that the edge sends here; what follows it is the answer's own business. */
const ANSWERS = new Map<string, Answer>([
  ["ws", async () => ({ sockets: ["/ws/live"] })],
  ["replay", replay],
  ["prints", kept("equity-prints")],
  ["option-prints", kept("option-prints")],
  ["candles", kept("equity-candles")],
  ["flow", kept("flow-packets")],
  ["nbbo", streamed("option-nbbo")],
  ["joins", streamed("equity-joins")],
  ["equity-joins", streamed("equity-joins")],
  ["dark", streamed("inferred-dark")],
  ["quotes", streamed("equity-quotes")],
  ["news", async () => ({ items: [] })],
  ["history", history],
  ["lookup", lookup],
  ["market-command", totals],
]);

export async function route(sources: Sources, request: Request): Promise<Response> {
  const path = new URL(request.url).pathname;
  const [, prefix = "", ...rest] = path.split("/");
  const answer = ANSWERS.get(prefix);
  if (!answer) return json({ error: "not found", path }, 404);
  const allowed = prefix === "lookup" ? ["GET", "HEAD", "POST"] : ["GET", "HEAD"];
  if (!allowed.includes(request.method)) return json({ error: "method not allowed", path }, 405);
  return json(await answer(sources, request, rest.join("/")));
}
