import { expect, test } from "bun:test";
import { Service, Watch } from "./harness";

test.each([401, 403])("a provider that answers %d ends ingest-options with one clear line", async (status) => {
  const provider = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("no", { status }) });
  await using service = Service.spawn("services/ingest-options", {
    OPTIONS_INGEST_ADAPTER: "live",
    OPTIONS_PROVIDER_URL: provider.url.href,
  });
  expect(await service.exited()).toBe(1);
  await Bun.sleep(20);
  expect(service.output).toBe(
    `ingest-options: the options provider "live" refuses our key: ${status}\n`,
  );
  await provider.stop(true);
});

test("a provider that lets us in is published", async () => {
  let asked = 0;
  const print = { symbol: "ISLE", right: "call", strike: 100, price: 1, size: 1 };
  const provider = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      asked += 1;
      return Response.json(print);
    },
  });
  await using service = await Service.start("services/ingest-options", {
    OPTIONS_INGEST_ADAPTER: "live",
    OPTIONS_PROVIDER_URL: provider.url.href,
  });
  await Bun.sleep(500);
  expect((await service.stop()).code).toBe(0);
  expect(asked).toBeGreaterThan(3);
  await provider.stop(true);
});

test("numbers go on where they stopped", async () => {
  const watch = await Watch.open();
  await using first = await Service.start("services/ingest-options");
  await Bun.sleep(1_500);
  await first.stop();
  const stopped = await watch.lastNumber("OPTIONS_PRINTS");

  await using second = await Service.start("services/ingest-options");
  await Bun.sleep(500);
  await second.stop();
  expect(await watch.lastNumber("OPTIONS_PRINTS")).toBeGreaterThan(stopped + 4);
  await watch.close();
});

test("a bad maximum age ends a service and names the variable", async () => {
  await using service = Service.spawn("services/candles", { STREAM_RAW_MAX_AGE_MS: "1h" });
  expect(await service.exited()).toBe(1);
  await Bun.sleep(20);
  expect(service.output).toContain("STREAM_RAW_MAX_AGE_MS");
});
