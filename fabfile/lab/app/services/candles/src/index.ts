import { Bus, type Event, type Fields, gather } from "@islandflow/bus";
import { run } from "@islandflow/service";

const PRINTS_PER_CANDLE = 20;

function candle(prints: Event[]): Fields {
  const prices = prints.map((print) => Number(print.fields.price));
  return {
    open: prices[0] ?? 0,
    high: Math.max(...prices),
    low: Math.min(...prices),
    close: prices.at(-1) ?? 0,
    volume: prints.reduce((total, print) => total + Number(print.fields.size), 0),
  };
}

await run("candles", async () => {
  const bus = await Bus.open("candles");
  await bus.consume(
    "equity-prints",
    gather(PRINTS_PER_CANDLE, (number, prints) => bus.publish("equity-candles", number, candle(prints))),
  );
  return () => bus.close();
});
