import { beforeEach, describe, expect, test } from 'vitest';
import type { RunningKdamond } from '../../../tiering/damon/driver.ts';
import { DamonRejectedError } from '../../../tiering/damon/errors.ts';
import { EffectiveQuotas } from '../../../tiering/effective-quotas.ts';
import { kdamond, scheme, withBudget } from '../damon/desired.ts';

const SECOND = 1_000;

function running(nodeId: number, budgetBytes = 1, pid = 100 + nodeId): RunningKdamond {
  return {
    index: nodeId,
    pid,
    isUnconfirmed: false,
    desired: { ...kdamond(nodeId), schemes: [withBudget(scheme({ name: 'up' }), budgetBytes)] },
  };
}

/** A kernel of which each question takes some time. */
class FakeKernel {
  nowMs = 0;
  costMs = 0;
  answer: readonly number[] | undefined = [42];
  refusal: Error | undefined;
  readonly asked: number[] = [];

  async effectiveBytes(index: number): Promise<readonly number[] | undefined> {
    this.asked.push(index);
    this.nowMs += this.costMs;
    if (this.refusal !== undefined) throw this.refusal;
    return this.answer;
  }
}

let kernel: FakeKernel;
let quotas: EffectiveQuotas;
beforeEach(() => {
  kernel = new FakeKernel();
  quotas = new EffectiveQuotas(kernel);
});

/** A look at so many seconds. */
async function look(seconds: number, kdamonds: readonly RunningKdamond[], moving = kdamonds): Promise<void> {
  kernel.nowMs = Math.max(kernel.nowMs, seconds * SECOND);
  await quotas.look(kdamonds, new Set(moving), () => kernel.nowMs);
}

describe('effective quotas', () => {
  test('are those of the kernel, by scheme, for a scheme that is off too', async () => {
    await look(0, [running(0)], []);
    expect(quotas.get(0)).toEqual(new Map([['up', 42]]));
    expect(quotas.get(1)).toBeUndefined();
  });

  test('are asked of one kdamond a look, the oldest reading first', async () => {
    const all = [running(0), running(1), running(2)];
    for (let tick = 0; tick < 4; tick += 1) await look(tick, all);
    expect(kernel.asked).toEqual([0, 1, 2]);
    await look(5, all);
    await look(6, all);
    expect(kernel.asked).toEqual([0, 1, 2, 0, 1]);
  });

  test('are asked every 5 s of a kdamond that moves memory, and not again of one that rests', async () => {
    const kdamonds = [running(0)];
    for (let tick = 0; tick <= 20; tick += 1) await look(tick, kdamonds);
    expect(kernel.asked).toHaveLength(5);
    for (let tick = 21; tick <= 100; tick += 1) await look(tick, kdamonds, []);
    expect(kernel.asked).toHaveLength(5);
  });

  test('are asked again of a kdamond at rest that was asked for other quotas since', async () => {
    await look(0, [running(0, 64)]);
    await look(3, [running(0, 1)], []);
    expect(kernel.asked).toHaveLength(1);
    await look(5, [running(0, 1)], []);
    await look(50, [running(0, 1)], []);
    expect(kernel.asked).toHaveLength(2);
  });

  test('are asked at once of a kdamond that was started anew', async () => {
    await look(0, [running(0)]);
    await look(1, [running(0, 1, 777)], []);
    expect(kernel.asked).toHaveLength(2);
  });

  test('take a twentieth of the time at most, however long the kdamond lets wait', async () => {
    kernel.costMs = 3 * SECOND;
    const kdamonds = [running(0), running(1)];
    for (let tick = 0; tick < 600; tick += 1) await look(tick, kdamonds);
    expect(kernel.asked.length * kernel.costMs).toBeLessThanOrEqual((600 * SECOND) / 20 + kernel.costMs);
    expect(kernel.asked.length).toBeGreaterThanOrEqual(9);
  });

  test.each([
    ['does not tell', undefined, undefined],
    ['refuses', undefined, new DamonRejectedError(0, 'update_schemes_effective_quotas', 'EINVAL', undefined)],
  ])('are none where the kernel %s', async (_what, answer, refusal) => {
    kernel.answer = answer;
    kernel.refusal = refusal;
    await look(0, [running(0)]);
    expect(quotas.get(0)).toEqual(new Map());
  });

  test('do not hide that a kdamond is gone', async () => {
    kernel.refusal = new Error('off');
    await expect(look(0, [running(0)])).rejects.toThrow('off');
  });

  test('of a node that went are forgotten', async () => {
    await look(0, [running(0)]);
    quotas.forget(0);
    expect(quotas.get(0)).toBeUndefined();
  });
});
