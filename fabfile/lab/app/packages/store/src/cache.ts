import { eventually, text, within } from "@islandflow/service";
import { RedisClient } from "bun";

const CONNECT_MS = 1_000;
const LATEST = "islandflow:latest";
const COUNTS = "islandflow:counts";

/** The newest message of each name, and how many there have been. */
export class Cache {
  private constructor(private readonly redis: RedisClient) {}

  static async open(): Promise<Cache> {
    const url = text("REDIS_URL", "redis://127.0.0.1:6379");
    return eventually(`Redis at ${url}`, async () => {
      const redis = new RedisClient(url, {
        connectionTimeout: CONNECT_MS,
        maxRetries: 1_000_000,
        enableOfflineQueue: false,
      });
      try {
        // With so many retries, connect() itself would go on for ever.
        if (!(await within(CONNECT_MS, redis.connect()))) throw new Error("no connection");
        await redis.send("PING", []);
        return new Cache(redis);
      } catch (error) {
        redis.close();
        throw error;
      }
    });
  }

  async put(name: string, value: unknown, added: number): Promise<void> {
    await Promise.all([
      this.redis.send("HSET", [LATEST, name, JSON.stringify(value)]),
      this.redis.send("HINCRBY", [COUNTS, name, String(added)]),
    ]);
  }

  async get(name: string): Promise<{ count: number; latest: unknown }> {
    const [latest, count] = await Promise.all([
      this.redis.send("HGET", [LATEST, name]),
      this.redis.send("HGET", [COUNTS, name]),
    ]);
    return { count: Number(count ?? 0), latest: latest ? JSON.parse(latest) : null };
  }

  close(): void {
    this.redis.close();
  }
}
