import type { Server } from "bun";
import { runtime } from "./env";

const IN_FLIGHT_MS = 1_500;
const POLL_MS = 10;

/** Every answer says which runtime gave it. */
export function answer(body: string, type: string, status = 200): Response {
  return new Response(body, {
    status,
    headers: { "content-type": type, "x-islandflow-runtime": runtime },
  });
}

export function json(body: unknown, status = 200): Response {
  return answer(JSON.stringify(body), "application/json", status);
}

/** Accepts nothing more and waits, up to 1.5 s, for the requests in flight. */
export async function finish<T>(server: Server<T>): Promise<void> {
  void server.stop();
  const deadline = Date.now() + IN_FLIGHT_MS;
  while (server.pendingRequests > 0 && Date.now() < deadline) await Bun.sleep(POLL_MS);
}
