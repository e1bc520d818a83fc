import { eventually, log, reason, text, within } from "@islandflow/service";
import {
  connect,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  type StreamState,
} from "nats";
import { CATALOGUE, type Kind } from "./catalogue";
import { Durable, type Handle } from "./durable";
import { decode, type Event, event, type Fields } from "./event";
import { ensureStreams, isMissing, readMaxAges } from "./streams";

const REQUEST_MS = 2_000;
const RETRY_MS = 200;
const SETTLE_MS = 120;
const DRAIN_MS = 60;

export class BusClosed extends Error {}

/** A service's connection to JetStream, with the streams in place and the durables that it binds. */
export class Bus {
  readonly #durables: Durable[] = [];
  #closing = false;

  private constructor(
    readonly service: string,
    private readonly nc: NatsConnection,
    private readonly jsm: JetStreamManager,
    private readonly js: JetStreamClient,
  ) {}

  static async open(service: string): Promise<Bus> {
    const servers = text("NATS_URL", "nats://127.0.0.1:4222");
    const ages = readMaxAges();
    return eventually(`JetStream at ${servers}`, async () => {
      const nc = await connect({
        servers,
        name: service,
        timeout: REQUEST_MS,
        maxReconnectAttempts: -1,
        reconnectTimeWait: RETRY_MS,
      });
      try {
        const jsm = await nc.jetstreamManager({ timeout: REQUEST_MS });
        await ensureStreams(jsm, ages);
        return new Bus(service, nc, jsm, nc.jetstream({ timeout: REQUEST_MS }));
      } catch (error) {
        await nc.close();
        throw error;
      }
    });
  }

  get closing(): boolean {
    return this.#closing;
  }

  async consume(kind: Kind, handle: Handle): Promise<void> {
    const { stream } = CATALOGUE[kind];
    const name = `${this.service}-${kind}`;
    this.#durables.push(await Durable.bind(this.nc, this.jsm, stream, name, handle));
  }

  /**
   * Returns once JetStream has stored the message, however long that takes; its id keeps a repeat
   * from being stored twice. Throws BusClosed if the bus is closed meanwhile.
   */
  async publish(kind: Kind, seq: number, fields: Fields): Promise<void> {
    const data = JSON.stringify(event(kind, seq, fields));
    const msgID = `${kind}-${seq}`;
    for (let tries = 1; !this.#closing; tries++) {
      try {
        await this.js.publish(CATALOGUE[kind].subject, data, { msgID });
        return;
      } catch (error) {
        if (tries === 1 && !this.#closing) log(`${msgID} waits for JetStream: ${reason(error)}`);
        await Bun.sleep(RETRY_MS);
      }
    }
    throw new BusClosed(`${msgID} was not stored`);
  }

  async last(kind: Kind): Promise<Event | null> {
    const { stream, subject } = CATALOGUE[kind];
    try {
      const stored = await this.jsm.streams.getMessage(stream, { last_by_subj: subject });
      return decode(stored.string());
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async state(kind: Kind): Promise<StreamState> {
    return (await this.jsm.streams.info(CATALOGUE[kind].stream)).state;
  }

  /** The number after the last one published, even when the stream's messages have aged out since. */
  async nextNumber(kind: Kind): Promise<number> {
    const last = await this.last(kind);
    return (last ? last.seq : (await this.state(kind)).last_seq) + 1;
  }

  /**
   * Lets go of the durables at once, then runs `settle` for what is still in hand, and disconnects:
   * 180 ms at most.
   */
  async close(settle: () => Promise<void> = async () => {}): Promise<void> {
    this.#closing = true;
    const handled = Promise.all(this.#durables.map((durable) => durable.unsubscribe()));
    await within(SETTLE_MS, handled.then(settle));
    await within(DRAIN_MS, this.nc.drain());
  }
}
