import type { Delivery, Handle } from "./durable";
import type { Event } from "./event";

type Window = Map<number, Delivery>;

/**
 * Hands over every `size` consecutive messages together, numbered from 1. They are acknowledged
 * only then, so a service that stops in between leaves the whole window to its successor.
 */
export function gather(
  size: number,
  complete: (number: number, events: Event[]) => Promise<void>,
): Handle {
  const windows = new Map<number, Window>();
  return async (delivery) => {
    const number = Math.ceil(delivery.event.seq / size);
    const window: Window = windows.get(number) ?? new Map();
    windows.set(number, window.set(delivery.event.seq, delivery));
    if (window.size < size) return;
    const members = [...window.values()].sort((one, other) => one.event.seq - other.event.seq);
    await complete(number, members.map((member) => member.event));
    windows.delete(number);
    for (const member of members) member.ack();
  };
}
