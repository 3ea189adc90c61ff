import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../api-client.ts';

const everyMs = 1_000;

/** Sets one key of the policy again and again, and looks each time whether what it set still holds. */
abstract class PolicyWriter {
  readonly api: ApiClient;
  readonly lost: string[] = [];

  constructor(api: ApiClient) {
    this.api = api;
  }

  /** Sets the value number `count` and looks what holds. */
  protected abstract set(count: number): Promise<{ readonly told: number; readonly holds: number }>;

  /** Until the signal; gives how many changes were made. */
  async run(signal: AbortSignal): Promise<number> {
    let count = 0;
    for (; !signal.aborted; count += 1) {
      const { told, holds } = await this.set(count);
      if (holds !== told) this.lost.push(`${told} was set, ${holds} holds`);
      await sleep(everyMs);
    }
    return count;
  }
}

/** Sends what it wants and nothing else, as most people do. */
export class UtilizationWriter extends PolicyWriter {
  protected async set(count: number) {
    const told = Math.round((0.85 + (count % 10) / 100) * 100) / 100;
    await this.api.patchPolicy({ fastUtilization: told, dryRun: count % 30 === 29 });
    return { told, holds: (await this.api.policy()).fastUtilization };
  }
}

/** Changes what it has read, and only if nobody else has changed it since (If-Match). */
export class LimitWriter extends PolicyWriter {
  protected async set(count: number) {
    const told = 500 + (count % 500);
    for (;;) {
      const { text, etag } = await this.api.send('GET', '/v1/policy');
      const { promotion }: { promotion: object } = JSON.parse(text);
      const body = { promotion: { ...promotion, maxMiBPerSecond: told } };
      const answer = await this.api.send('PATCH', '/v1/policy', { body, headers: { 'if-match': etag ?? '' } });
      if (answer.status === 412) continue;
      // 202: a kdamond has yet to hear of it.
      if (answer.status !== 200 && answer.status !== 202)
        throw new Error(`PATCH with If-Match answered ${answer.status}: ${answer.text}`);
      return { told, holds: (await this.api.policy()).promotion.maxMiBPerSecond };
    }
  }
}
