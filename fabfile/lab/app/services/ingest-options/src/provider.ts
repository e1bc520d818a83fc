import type { Fields } from "@islandflow/bus";
import { text } from "@islandflow/service";

const ANSWER_MS = 5_000;
const REFUSED = [401, 403];

/** A feed that asks OPTIONS_PROVIDER_URL for one print after the other; throws if it is not let in. */
export async function provider(adapter: string): Promise<() => Promise<Fields>> {
  const url = text("OPTIONS_PROVIDER_URL", "");
  if (!url) throw new Error(`the adapter "${adapter}" needs OPTIONS_PROVIDER_URL`);

  const ask = async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (REFUSED.includes(response.status)) {
      throw new Error(`the options provider "${adapter}" refuses our key: ${response.status}`);
    }
    if (!response.ok) throw new Error(`the options provider "${adapter}" answered ${response.status}`);
    return (await response.json()) as Fields;
  };

  let next = await ask();
  return async () => {
    const print = next;
    next = await ask();
    return print;
  };
}
