/** A variable that is set but empty counts as not set, as Compose passes it for an empty line. */
export function text(name: string, fallback: string): string {
  return process.env[name] || fallback;
}

export function positive(name: string, fallback: number): number {
  const given = text(name, String(fallback));
  const value = Number(given);
  if (!Number.isSafeInteger(value) || value <= 0) {
    throw new Error(`${name} must be a positive whole number, not "${given}"`);
  }
  return value;
}

export const runtime = text("ISLANDFLOW_RUNTIME", "unknown");
