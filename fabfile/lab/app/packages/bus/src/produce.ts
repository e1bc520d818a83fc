import { type Bus, BusClosed } from "./bus";
import type { Kind } from "./catalogue";
import type { Fields } from "./event";

const PAUSE_MS = 200;

type Make = (seq: number) => Fields | Promise<Fields>;

/** Publishes numbered messages, about 5 a second, from where the last producer left off. */
export async function produce(bus: Bus, kind: Kind, make: Make): Promise<void> {
  let seq = await bus.nextNumber(kind);
  try {
    for (; !bus.closing; seq++) {
      await bus.publish(kind, seq, await make(seq));
      await Bun.sleep(PAUSE_MS);
    }
  } catch (error) {
    if (!(error instanceof BusClosed)) throw error;
  }
}
