import { reason, within } from "./retry";

export type Stop = () => Promise<void>;

const STOP_MS = 4_000;

export function log(line: string): void {
  console.log(line);
}

/** Starts a service; SIGTERM or SIGINT stops it with exit code 0, a failed start ends with 1. */
export async function run(name: string, start: () => Promise<Stop>): Promise<void> {
  let stop: Stop | undefined;
  const leave = async () => {
    if (stop) await within(STOP_MS, stop());
    process.exit(0);
  };
  process.once("SIGTERM", leave);
  process.once("SIGINT", leave);
  try {
    stop = await start();
    log(`${name}: started`);
  } catch (error) {
    console.error(`${name}: ${reason(error)}`);
    process.exit(1);
  }
}
