export { Bus } from "./bus";
export { CATALOGUE, type Kind } from "./catalogue";
export type { Delivery } from "./durable";
export type { Event, Fields } from "./event";
export { gather } from "./gather";
export { produce } from "./produce";
