import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Build, DIST, STATIC } from "./src/build";

await rm(DIST, { recursive: true, force: true });
const result = await Bun.build({
  entrypoints: [join(import.meta.dir, "src", "client.ts")],
  outdir: DIST,
  naming: "[name]-[hash].[ext]",
  minify: true,
});
const [script] = result.outputs;
if (!script?.hash) throw new Error("the build made no script");

const build: Build = { id: script.hash, script: STATIC + basename(script.path) };
await Bun.write(join(DIST, "build.json"), JSON.stringify(build));
console.log(`web: built ${build.id}`);
