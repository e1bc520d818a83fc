import { Bus, type Fields, gather } from "@islandflow/bus";
import { run } from "@islandflow/service";
import { classify, join, packet, signal } from "./derive";

const PRINTS_PER_PACKET = 10;
const PACKETS_PER_ALERT = 5;
const PRINTS_PER_DARK = 20;

await run("compute", async () => {
  const bus = await Bus.open("compute");
  const quotes = new Map<string | number | undefined, Fields>();

  const packets = gather(PRINTS_PER_PACKET, async (number, prints) => {
    const flow = packet(prints);
    await bus.publish("flow-packets", number, flow);
    await bus.publish("smart-money-events", number, classify(flow));
    await bus.publish("classifier-hits", number, classify(flow));
    if (number % PACKETS_PER_ALERT === 0) await bus.publish("alerts", number / PACKETS_PER_ALERT, flow);
  });

  await bus.consume("option-prints", async (delivery) => {
    await bus.publish("option-signal-prints", delivery.event.seq, signal(delivery.event));
    await packets(delivery);
  });

  await bus.consume("equity-quotes", async ({ event, ack }) => {
    quotes.set(event.fields.symbol, event.fields);
    ack();
  });

  await bus.consume("equity-prints", async ({ event, ack }) => {
    const joined = join(event, quotes.get(event.fields.symbol));
    await bus.publish("equity-joins", event.seq, joined);
    if (event.seq % PRINTS_PER_DARK === 0) {
      await bus.publish("inferred-dark", event.seq / PRINTS_PER_DARK, joined);
    }
    ack();
  });

  return () => bus.close();
});
