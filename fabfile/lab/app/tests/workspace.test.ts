import { expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");

test.each(["package.json", "bun.lock"])("the image's snapshot of %s is the checkout's", async (name) => {
  const snapshot = Bun.file(join(ROOT, "deployment", "docker", "workspace", name));
  expect(await snapshot.text()).toBe(await Bun.file(join(ROOT, name)).text());
});

test("the lock file holds no download addresses", async () => {
  expect(await Bun.file(join(ROOT, "bun.lock")).text()).not.toMatch(/https?:|\.tgz/);
});
