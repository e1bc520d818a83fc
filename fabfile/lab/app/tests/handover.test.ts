import { afterAll, beforeAll, expect, test } from "bun:test";
import { Service, Watch } from "./harness";

const WORKERS = ["compute", "candles", "ingest-options", "ingest-equities"];
const DURABLES: [stream: string, durable: string][] = [
  ["OPTIONS_PRINTS", "api-option-prints"],
  ["EQUITY_PRINTS", "api-equity-prints"],
  ["EQUITY_CANDLES", "api-equity-candles"],
  ["FLOW_PACKETS", "api-flow-packets"],
  ["ALERTS", "api-alerts"],
  ["OPTIONS_PRINTS", "compute-option-prints"],
  ["EQUITY_QUOTES", "compute-equity-quotes"],
  ["EQUITY_PRINTS", "compute-equity-prints"],
  ["EQUITY_PRINTS", "candles-equity-prints"],
  ["EQUITY_QUOTES", "ingest-options-equity-quotes"],
];
const SOURCES: Record<string, string> = {
  option_prints: "OPTIONS_PRINTS",
  equity_prints: "EQUITY_PRINTS",
  equity_candles: "EQUITY_CANDLES",
  flow_packets: "FLOW_PACKETS",
  alerts: "ALERTS",
};

const CATCH_UP_MS = 3_000;
// The app gives itself 180 ms; the rest is for a busy machine.
const STOP_MS = 500;

type Counts = Record<string, { rows: number; distinct: number; min: number; max: number }>;

let watch: Watch;

beforeAll(async () => {
  watch = await Watch.open();
});

afterAll(() => watch.close());

/** Started together, as units are; whichever way the test ends the stack stops them. */
async function start(stack: AsyncDisposableStack, names: string[], runtime: string): Promise<Service[]> {
  const services = names.map((name) => Service.spawn(`services/${name}`, { ISLANDFLOW_RUNTIME: runtime }));
  for (const service of services) stack.use(service);
  await Promise.all(services.map((service) => service.started()));
  return services;
}

async function bound(): Promise<string[]> {
  const holders = await Promise.all(DURABLES.map((durable) => watch.bound(...durable)));
  return DURABLES.filter((_, index) => holders[index]).map(([, name]) => name);
}

async function counts(api: Service): Promise<Counts> {
  return (await (await api.fetch("/history/counts")).json()) as Counts;
}

/** The tables whose rows are not exactly the numbers 1 to the stream's last, with what is there instead. */
async function incomplete(api: Service): Promise<string[]> {
  const found = Object.entries(await counts(api)).map(async ([table, { distinct, min, max }]) => {
    const last = await watch.lastNumber(SOURCES[table] ?? "");
    const complete = last > 0 && min === 1 && max === last && distinct === last;
    return complete ? [] : [`${table}: ${distinct} of ${last}, from ${min} to ${max}`];
  });
  return (await Promise.all(found)).flat();
}

test("hand-overs lose no message and write every row", async () => {
  for (const runtime of ["docker", "native", "docker"]) {
    await using stack = new AsyncDisposableStack();
    const services = await start(stack, [...WORKERS, "api"], runtime);
    expect(await bound()).toEqual(DURABLES.map(([, name]) => name));
    await Bun.sleep(3_000);
    const stops = await Promise.all(services.map((service) => service.stop()));
    expect(stops.map((stop) => stop.code)).toEqual(services.map(() => 0));
    expect(await bound()).toEqual([]);
  }

  await using api = await Service.start("services/api");
  const deadline = performance.now() + CATCH_UP_MS;
  while ((await incomplete(api)).length > 0 && performance.now() < deadline) await Bun.sleep(50);
  expect(await incomplete(api)).toEqual([]);
}, 40_000);

test("a worker stops at once", async () => {
  await using stack = new AsyncDisposableStack();
  const workers = await start(stack, WORKERS, "native");
  await Bun.sleep(500);
  for (const worker of workers) {
    const { code, ms } = await worker.stop();
    console.log(`${worker.name} stopped in ${ms.toFixed(0)} ms`);
    expect(code).toBe(0);
    expect(ms).toBeLessThan(STOP_MS);
  }
}, 20_000);

test("streams and durables are configured as the original's", async () => {
  const streams = await watch.streams();
  expect(streams).toHaveLength(12);
  for (const { name, max_age, max_bytes, storage } of streams) {
    const raw = ["OPTIONS_PRINTS", "OPTIONS_NBBO", "EQUITY_PRINTS", "EQUITY_QUOTES"].includes(name);
    expect({ name, max_age, max_bytes, storage: String(storage) }).toEqual({
      name,
      max_age: (raw ? 1 : 12) * 3600 * 1e9,
      max_bytes: (raw ? 512 : 256) * 1024 * 1024,
      storage: "file",
    });
  }
  for (const durable of DURABLES) {
    const config = await watch.consumer(...durable);
    expect(config.ack_wait).toBe(10e9);
    expect(String(config.ack_policy)).toBe("explicit");
    expect(config.deliver_group).toBeUndefined();
  }
});
