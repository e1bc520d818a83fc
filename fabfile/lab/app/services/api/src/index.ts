import { Bus } from "@islandflow/bus";
import { finish, run } from "@islandflow/service";
import { Cache, ClickHouse } from "@islandflow/store";
import { KEPT, tableOf } from "./feeds";
import { Live } from "./live";
import { serve } from "./server";
import { Writer } from "./writer";

await run("api", async () => {
  const [store, cache, bus] = await Promise.all([
    ClickHouse.open(KEPT.map(tableOf)),
    Cache.open(),
    Bus.open("api"),
  ]);
  const live = new Live();
  const writer = new Writer(store, cache);
  for (const kind of KEPT) {
    await bus.consume(kind, async (delivery) => {
      live.push(delivery.event);
      writer.add(delivery);
    });
  }
  const server = serve({ bus, cache, store }, live);

  return async () => {
    const idle = finish(server);
    await bus.close(() => writer.flush());
    await idle;
    await live.close();
    cache.close();
  };
});
