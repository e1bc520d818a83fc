import { afterAll, beforeAll, expect, test } from "bun:test";
import { Service } from "./harness";

const PREFIXES =
  "ws replay prints joins nbbo dark flow candles history quotes news lookup option-prints equity-joins market-command".split(
    " ",
  );

let api: Service;
let source: Service;

beforeAll(async () => {
  source = await Service.start("services/ingest-equities");
  api = await Service.start("services/api", { ISLANDFLOW_RUNTIME: "docker" });
});

afterAll(() => Promise.all([api.stop(), source.stop()]));

function expectJson(response: Response) {
  expect(response.headers.get("content-type")).toStartWith("application/json");
  expect(response.headers.get("x-islandflow-runtime")).toBe("docker");
}

test.each(PREFIXES.flatMap((prefix) => [`/${prefix}`, `/${prefix}/`, `/${prefix}/x`]))(
  "%s answers JSON",
  async (path) => {
    const response = await api.fetch(path);
    expect(response.status).toBe(200);
    expectJson(response);
    expect(await response.json()).toBeObject();
  },
);

test.each(["/", "/printsx", "/unknown"])("%s is a 404 in JSON", async (path) => {
  const response = await api.fetch(path);
  expect(response.status).toBe(404);
  expectJson(response);
});

test("lookup takes a POST", async () => {
  const response = await api.fetch("/lookup/x", { method: "POST", body: '{"symbol":"ISLE"}' });
  expect(response.status).toBe(200);
  expectJson(response);
  expect(await response.json()).toMatchObject({ asked: '{"symbol":"ISLE"}' });
});

test("what came in is in the cache and in ClickHouse", async () => {
  await api.live().next();
  await Bun.sleep(500);
  const { latest, count } = (await (await api.fetch("/prints")).json()) as {
    latest: { seq: number };
    count: number;
  };
  const { equity_prints } = (await (await api.fetch("/history/counts")).json()) as {
    equity_prints: { max: number };
  };
  expect(count).toBeGreaterThan(0);
  expect(equity_prints.max).toBeGreaterThanOrEqual(latest.seq);
});

test("a stop closes websockets with 1001 and exits 0", async () => {
  await using other = await Service.start("services/api");
  const live = other.live();
  await live.next();
  expect(live.events[0]).toMatchObject({ kind: expect.any(String), seq: expect.any(Number) });
  const { code, ms } = await other.stop();
  console.log(`api stopped in ${ms.toFixed(0)} ms`);
  expect(await live.closed).toBe(1001);
  expect(code).toBe(0);
  expect(ms).toBeLessThan(1_000);
});

test("a stop lets the requests in flight finish", async () => {
  await using other = await Service.start("services/api");
  const half = new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode('{"symbol":'));
      await Bun.sleep(400);
      controller.enqueue(new TextEncoder().encode('"ISLE"}'));
      controller.close();
    },
  });
  const asked = other.fetch("/lookup", { method: "POST", body: half });
  await Bun.sleep(100);
  const stopped = other.stop();
  expect((await asked).status).toBe(200);
  expect((await stopped).code).toBe(0);
});
