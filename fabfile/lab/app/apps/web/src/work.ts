import { text } from "@islandflow/service";

/** Milliseconds of processor time of one page while the server is not warm yet. */
const COLD_MS = 200;

/** A rendering server's appetite: what a page takes, and what the first ones after a start take together. */
export class Work {
  private cold = number("LAB_WEB_WARMUP_SECONDS") * 1000;
  private readonly cost = number("LAB_WEB_COST_MS");

  /** Spend what one page takes. As where pages are rendered, nothing else is answered meanwhile. */
  page(): void {
    const warming = Math.min(this.cold, COLD_MS);
    this.cold -= warming;
    spend(Math.max(warming, this.cost));
  }
}

/** Of this process, not of the clock: on a starved machine it takes the longer. */
function spend(ms: number): void {
  const before = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(before);
    if (user + system >= ms * 1000) return;
  }
}

function number(name: string): number {
  const value = Number(text(name, "0"));
  if (!(value >= 0)) throw new Error(`${name} must be a number from 0 on`);
  return value;
}
