import { Bus, produce } from "@islandflow/bus";
import { run, text } from "@islandflow/service";
import { provider } from "./provider";
import { synthetic } from "./synthetic";

const OPENING_PRICE = 100;

await run("ingest-options", async () => {
  const adapter = text("OPTIONS_INGEST_ADAPTER", "synthetic");
  let underlying = OPENING_PRICE;
  const feed =
    adapter === "synthetic" ? (seq: number) => synthetic(seq, underlying) : await provider(adapter);

  const bus = await Bus.open("ingest-options");
  await bus.consume("equity-quotes", async ({ event, ack }) => {
    const { bid, ask } = event.fields;
    underlying = (Number(bid) + Number(ask)) / 2;
    await bus.publish("option-nbbo", event.seq, { symbol: "ISLE", bid: Number(bid), ask: Number(ask) });
    ack();
  });
  void produce(bus, "option-prints", feed);
  return () => bus.close();
});
