import type { Delivery, Kind } from "@islandflow/bus";
import { log, reason } from "@islandflow/service";
import type { Cache, ClickHouse, Row } from "@islandflow/store";
import { tableOf } from "./feeds";

// ClickHouse asks for no more than about one insert a second into a table: each makes a part, of a dozen files.
const FLUSH_MS = 1_000;

type Batch = Map<number, Delivery>;

/** Writes deliveries in batches; each is acknowledged only once its row is in ClickHouse. */
export class Writer {
  readonly #batches = new Map<Kind, Batch>();
  #flushed = Promise.resolve();
  #troubled = false;

  constructor(
    private readonly store: ClickHouse,
    private readonly cache: Cache,
  ) {
    void this.#flushForever();
  }

  add(delivery: Delivery): void {
    const { kind, seq } = delivery.event;
    const batch: Batch = this.#batches.get(kind) ?? new Map();
    this.#batches.set(kind, batch.set(seq, delivery));
  }

  /** Writes what has been added until now; flushes never overlap. */
  flush(): Promise<void> {
    this.#flushed = this.#flushed.then(async () => {
      await Promise.all([...this.#batches].map(([kind, batch]) => this.#write(kind, batch)));
    });
    return this.#flushed;
  }

  async #flushForever(): Promise<never> {
    for (;;) {
      await Bun.sleep(FLUSH_MS);
      await this.flush();
    }
  }

  async #write(kind: Kind, batch: Batch): Promise<void> {
    const written = [...batch.values()];
    const newest = written.at(-1);
    if (!newest) return;
    try {
      await this.store.insert(tableOf(kind), written.map(toRow));
    } catch (error) {
      this.#complain(`${kind} not written, trying again: ${reason(error)}`);
      return;
    }
    for (const delivery of written) {
      delivery.ack();
      batch.delete(delivery.event.seq);
    }
    try {
      await this.cache.put(kind, newest.event, written.length);
      this.#troubled = false;
    } catch (error) {
      this.#complain(`${kind} not cached: ${reason(error)}`);
    }
  }

  /** Says it once, not with every flush until the trouble is over. */
  #complain(line: string): void {
    if (!this.#troubled) log(`api: ${line}`);
    this.#troubled = true;
  }
}

function toRow({ event }: Delivery): Row {
  return { seq: event.seq, at: event.at, runtime: event.runtime, body: JSON.stringify(event) };
}
