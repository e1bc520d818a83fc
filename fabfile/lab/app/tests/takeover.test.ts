import { afterAll, beforeAll, expect, test } from "bun:test";
import { Service, until, Watch } from "./harness";

const QUIET_MS = 1_500;

let watch: Watch;
let source: Service;

beforeAll(async () => {
  watch = await Watch.open();
  source = await Service.start("services/ingest-equities");
});

afterAll(async () => {
  await source.stop();
  await watch.close();
});

test("a second owner takes over the durables and the first is told nothing", async () => {
  await using first = await Service.start("services/api");
  const atFirst = first.live();
  await atFirst.next();
  const said = first.output;

  await using second = await Service.start("services/api");
  const atSecond = second.live();
  await atSecond.next();
  const before = atFirst.events.length;
  await Bun.sleep(QUIET_MS);

  expect(atFirst.events.length).toBe(before);
  expect(atSecond.events.length).toBeGreaterThan(10);
  expect(first.output).toBe(said);
  expect(await (await first.fetch("/health")).json()).toMatchObject({ ok: true });
  expect(await watch.bound("EQUITY_PRINTS", "api-equity-prints")).toBe(true);

  await second.stop();
  expect(await watch.bound("EQUITY_PRINTS", "api-equity-prints")).toBe(false);
  await Bun.sleep(QUIET_MS);
  expect(atFirst.events.length).toBe(before);
  expect(await (await first.fetch("/health")).json()).toMatchObject({ ok: true });

  await first.stop();
  await using again = await Service.start("services/api");
  const afterwards = again.live();
  await afterwards.next();
}, 20_000);

test("a second api takes the durables even if it finds its port taken and dies", async () => {
  await using first = await Service.start("services/api");
  const live = first.live();
  await live.next();

  await using second = Service.spawn("services/api", { API_PORT: `${first.port}` });
  expect(await second.exited()).toBe(1);
  await until("unbound", async () => !(await watch.bound("EQUITY_PRINTS", "api-equity-prints")));
  const before = live.events.length;
  await Bun.sleep(QUIET_MS);

  expect(live.events.length).toBe(before);
  expect((await first.fetch("/health")).status).toBe(200);
}, 20_000);
