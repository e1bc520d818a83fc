import { log, reason } from "@islandflow/service";
import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  type JetStreamManager,
  type Msg,
  type NatsConnection,
  NatsError,
  nanos,
  type Subscription,
} from "nats";
import { decode, type Event } from "./event";
import { isMissing } from "./streams";

const ACK = "+ACK";
const TERM = "+TERM";
const ACK_WAIT_MS = 10_000;

// JetStream's error code for moving a durable that somebody is subscribed to.
const HELD = 10013;

export interface Delivery {
  event: Event;
  ack(): void;
}

export type Handle = (delivery: Delivery) => Promise<void>;

/** A durable push consumer: messages are handled one after another and stay open until acknowledged. */
export class Durable {
  readonly #subscription: Subscription;
  readonly #open = new Map<number, Msg>();
  #handled = Promise.resolve();
  #closed = false;

  private constructor(
    nc: NatsConnection,
    inbox: string,
    readonly name: string,
    private readonly handle: Handle,
  ) {
    this.#subscription = nc.subscribe(inbox, {
      callback: (error, msg) => {
        if (!error) this.#receive(msg);
      },
    });
  }

  /** Binds the durable to this process, whoever holds it now. */
  static async bind(
    nc: NatsConnection,
    jsm: JetStreamManager,
    stream: string,
    name: string,
    handle: Handle,
  ): Promise<Durable> {
    const inbox = createInbox();
    const durable = new Durable(nc, inbox, name, handle);
    await take(jsm, stream, name, inbox);
    return durable;
  }

  #receive(msg: Msg): void {
    let found: Event;
    try {
      found = decode(msg.string());
    } catch (error) {
      log(`${this.name}: dropped ${reason(error)}`);
      msg.respond(TERM);
      return;
    }
    this.#open.set(found.seq, msg);
    const delivery = { event: found, ack: () => this.#ack(found.seq) };
    this.#handled = this.#handled.then(() => this.#run(delivery));
  }

  async #run(delivery: Delivery): Promise<void> {
    if (this.#closed) return;
    try {
      await this.handle(delivery);
    } catch (error) {
      if (!this.#closed) log(`${this.name}: ${delivery.event.seq} failed: ${reason(error)}`);
    }
  }

  #ack(seq: number): void {
    this.#open.get(seq)?.respond(ACK);
    this.#open.delete(seq);
  }

  /** Takes no more messages; resolves when the one in hand is done. */
  unsubscribe(): Promise<void> {
    this.#closed = true;
    this.#subscription.unsubscribe();
    return this.#handled;
  }
}

/**
 * Points the durable at our inbox, upon which JetStream delivers at once, without waiting for ack_wait,
 * whatever the former owner left unacknowledged. It refuses that while somebody else is subscribed; then the
 * durable is made anew from where it had got to. The former owner keeps its connection and its
 * subscription and is told nothing: two owners at a time is the mistake that goes unnoticed.
 */
async function take(jsm: JetStreamManager, stream: string, name: string, inbox: string) {
  const target = { deliver_subject: inbox, ack_wait: nanos(ACK_WAIT_MS) };
  const fresh = { ...target, durable_name: name, ack_policy: AckPolicy.Explicit };
  try {
    await jsm.consumers.update(stream, name, target);
  } catch (error) {
    if (isMissing(error)) {
      await jsm.consumers.add(stream, { ...fresh, deliver_policy: DeliverPolicy.All });
      return;
    }
    if (!(error instanceof NatsError) || error.api_error?.err_code !== HELD) throw error;
    const { ack_floor } = await jsm.consumers.info(stream, name);
    await jsm.consumers.delete(stream, name);
    await jsm.consumers.add(stream, {
      ...fresh,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: ack_floor.stream_seq + 1,
    });
  }
}
