import type { Event } from "@islandflow/bus";
import type { ServerWebSocket } from "bun";

const GOING_AWAY = 1001;
const FAREWELL_MS = 50;

/** The websockets of /ws/live. */
export class Live {
  readonly #sockets = new Set<ServerWebSocket>();

  readonly handler = {
    open: (socket: ServerWebSocket) => void this.#sockets.add(socket),
    close: (socket: ServerWebSocket) => void this.#sockets.delete(socket),
    message: () => {},
  };

  push(event: Event): void {
    const line = JSON.stringify(event);
    for (const socket of this.#sockets) socket.send(line);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.close(GOING_AWAY, "the service is stopping");
    await Bun.sleep(FAREWELL_MS);
  }
}
