import type { ApiClient } from './api-client.ts';
import { eventually } from './eventually.ts';

/**
 * Waits until a daemon has decided twice more and is at work then. The state alone may be what it was before a fault; and the first decision may go by what
 * was seen before.
 */
export async function decidesAgain({ api }: { readonly api: ApiClient }, timeoutMs = 90_000): Promise<void> {
  const before = await decisionsOf(api);
  await eventually('it decides again', timeoutMs, async () => {
    const { state } = await api.status();
    return ['moving', 'settled'].includes(state) && (await decisionsOf(api)) >= before + 2;
  });
}

async function decisionsOf(api: ApiClient): Promise<number> {
  const { text } = await api.send('GET', '/metrics');
  const [, count] = /^tierd_decisions_total (\d+)$/m.exec(text) ?? [];
  if (count === undefined) throw new Error(`the metrics have no decisions: ${text.slice(0, 500)}`);
  return Number(count);
}
