import { basename, join } from "node:path";
import { answer, finish, positive, run, text } from "@islandflow/service";
import { DIST, readBuild } from "./build";
import { home, notFound } from "./page";
import { Work } from "./work";

const HTML = "text/html; charset=utf-8";

await run("web", async () => {
  const build = await readBuild();
  const script = build && (await Bun.file(join(DIST, basename(build.script))).text());

  const work = new Work();

  const server = Bun.serve({
    hostname: text("WEB_HOST", "127.0.0.1"),
    port: positive("WEB_PORT", 3000),
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/") {
        work.page();
        return answer(home(build), HTML);
      }
      if (script && pathname === build.script) return answer(script, "text/javascript");
      return answer(notFound(), HTML, 404);
    },
  });

  return () => finish(server);
});
