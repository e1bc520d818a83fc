export * from "./env";
export * from "./http";
export * from "./lifecycle";
export * from "./retry";
