import { positive } from "@islandflow/service";
import { type JetStreamManager, NatsError, nanos, StorageType } from "nats";
import { CATALOGUE, type Feed } from "./catalogue";

export function isMissing(error: unknown): boolean {
  return error instanceof NatsError && error.code === "404";
}

/** The environment gives milliseconds, JetStream wants nanoseconds. */
export interface MaxAges {
  raw: number;
  derived: number;
}

export function readMaxAges(): MaxAges {
  return {
    raw: nanos(positive("STREAM_RAW_MAX_AGE_MS", 3_600_000)),
    derived: nanos(positive("STREAM_DERIVED_MAX_AGE_MS", 43_200_000)),
  };
}

/** Creates the streams that are missing and corrects those that are not as the environment says. */
export async function ensureStreams(jsm: JetStreamManager, ages: MaxAges): Promise<void> {
  await Promise.all(Object.values(CATALOGUE).map((feed) => ensure(jsm, feed, ages[feed.origin])));
}

async function ensure(jsm: JetStreamManager, feed: Feed, maxAge: number): Promise<void> {
  const wanted = { subjects: [feed.subject], max_age: maxAge, max_bytes: feed.maxBytes };
  try {
    const { config } = await jsm.streams.info(feed.stream);
    if (config.max_age === wanted.max_age && config.max_bytes === wanted.max_bytes) return;
    await jsm.streams.update(feed.stream, { ...config, ...wanted });
  } catch (error) {
    if (!isMissing(error)) throw error;
    await jsm.streams.add({ ...wanted, name: feed.stream, storage: StorageType.File });
  }
}
