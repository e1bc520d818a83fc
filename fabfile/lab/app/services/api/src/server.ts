import { json, log, positive, reason, runtime, text } from "@islandflow/service";
import type { Server } from "bun";
import type { Live } from "./live";
import { route, type Sources } from "./routes";

export function serve(sources: Sources, live: Live): Server<undefined> {
  return Bun.serve({
    hostname: text("API_HOST", "127.0.0.1"),
    port: positive("API_PORT", 4000),
    websocket: live.handler,
    fetch: async (request, server) => {
      const { pathname } = new URL(request.url);
      // As in the original it asks none of the dependencies.
      if (pathname === "/health") return json({ ok: true, service: "api", runtime });
      if (pathname === "/ws/live") {
        const headers = { "x-islandflow-runtime": runtime };
        if (server.upgrade(request, { headers })) return;
        return json({ error: "a websocket is expected here" }, 426);
      }
      try {
        return await route(sources, request);
      } catch (error) {
        log(`api: ${pathname}: ${reason(error)}`);
        return json({ error: "a dependency does not answer" }, 503);
      }
    },
  });
}
