import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Service } from "./harness";

const WEB = join(import.meta.dir, "..", "apps", "web");

let web: Service;

beforeAll(async () => {
  const build = Bun.spawn([process.execPath, "run", "build"], { cwd: WEB, stdout: "ignore", stderr: "inherit" });
  expect(await build.exited).toBe(0);
  web = await Service.start("apps/web", { NATS_URL: "", REDIS_URL: "", CLICKHOUSE_URL: "" });
});

afterAll(() => web.stop());

test.each(["GET", "HEAD"])("%s / is HTML and names the runtime", async (method) => {
  const response = await web.fetch("/", { method });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toStartWith("text/html");
  expect(response.headers.get("x-islandflow-runtime")).toBe("native");
  if (method === "GET") expect(await response.text()).toContain("native");
});

test("a path of the api is an HTML 404 here", async () => {
  const response = await web.fetch("/prints/x");
  expect(response.status).toBe(404);
  expect(response.headers.get("content-type")).toStartWith("text/html");
});

test("the page loads the script that was built", async () => {
  const page = await (await web.fetch("/")).text();
  const path = /src="([^"]+)"/.exec(page)?.[1] ?? "";
  const script = await web.fetch(path);
  expect(script.headers.get("content-type")).toStartWith("text/javascript");
  expect(await script.text()).toContain("/ws/live");
});

test("the first pages of a slow server take longer than the later ones", async () => {
  const slow = await Service.start("apps/web", {
    NATS_URL: "",
    REDIS_URL: "",
    CLICKHOUSE_URL: "",
    LAB_WEB_WARMUP_SECONDS: "0.4",
    LAB_WEB_COST_MS: "20",
  });
  try {
    const seconds: number[] = [];
    for (let page = 0; page < 5; page++) {
      const before = performance.now();
      expect((await slow.fetch("/")).status).toBe(200);
      seconds.push(performance.now() - before);
    }
    expect(seconds[3]).toBeGreaterThanOrEqual(20);
    expect(Math.min(seconds[0], seconds[1])).toBeGreaterThanOrEqual(200);
  } finally {
    await slow.stop();
  }
});
