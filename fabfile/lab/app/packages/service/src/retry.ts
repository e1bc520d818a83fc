const PAUSE_MS = 200;
const PATIENCE_MS = 15_000;

/** Repeats the attempt until it succeeds; after 15 s its last error is thrown, with what was waited for. */
export async function eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() >= deadline) throw new Error(`${what} is not there: ${reason(error)}`);
      await Bun.sleep(PAUSE_MS);
    }
  }
}

/** Waits for the work, but no longer than `ms`; says whether it ended in time. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  return Promise.race([work.then(() => true), Bun.sleep(ms).then(() => false)]);
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
