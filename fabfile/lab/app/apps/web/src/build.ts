import { join } from "node:path";

export const DIST = join(import.meta.dir, "..", "dist");

/** What `bun run build` left in dist: the id is a hash of the script, the script a path below /_next/static. */
export interface Build {
  id: string;
  script: string;
}

export const STATIC = "/_next/static/";

export async function readBuild(): Promise<Build | null> {
  const manifest = Bun.file(join(DIST, "build.json"));
  return (await manifest.exists()) ? manifest.json() : null;
}
