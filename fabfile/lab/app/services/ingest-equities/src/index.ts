import { Bus, produce } from "@islandflow/bus";
import { run } from "@islandflow/service";
import { print, quote } from "./synthetic";

await run("ingest-equities", async () => {
  const bus = await Bus.open("ingest-equities");
  void produce(bus, "equity-prints", print);
  void produce(bus, "equity-quotes", quote);
  return () => bus.close();
});
