import { expect, onTestFinished, test } from 'vitest';
import type { Receipt } from '../../../tiering/damon/receipt.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { engineOver } from './running-engine.ts';

const SCHEME = '/sys/kernel/mm/damon/admin/kdamonds/1/contexts/0/schemes/0';

/** A daemon killed while a scheme moved 64 MiB a pass, and its receipt. */
async function killed() {
  const kernel = new FakeKernel();
  let receipt: Receipt | undefined;
  const first = await engineOver(kernel, {
    saveReceipt: async (saved) => {
      receipt = saved;
    },
  });
  await first.start();
  onTestFinished(async () => {
    await first.stop();
    kernel.remove();
  });
  const left = receipt;
  await kernel.damon.write(`${SCHEME}/quotas/bytes`, String(64 * 1024 * 1024));
  await kernel.damon.write(`${SCHEME}/access_pattern/age/min`, '0');
  return { kernel, loadReceipt: async () => left };
}

const budget = (kernel: FakeKernel) => kernel.damon.files.get(`${SCHEME}/quotas/bytes`);

test('a start that fails has ended the orders of the process before it, first of all', async () => {
  const { kernel, loadReceipt } = await killed();
  const told: string[] = [];
  const tell = (_: object, message: string) => void told.push(message);
  const next = await engineOver(kernel, {
    loadReceipt,
    tiers: [[0, 1]],
    logger: { debug: tell, info: tell, warn: tell, error: tell },
  });
  await expect(next.start()).rejects.toMatchObject({ code: 'TIERD_NO_TIERS' });
  expect(budget(kernel)).toBe('1');
  expect(told).toContain('kdamond 1 (node 1) of an earlier run: its schemes are off until the first decision');
  await next.stop();
});

test('so does one that waits for DAMON', async () => {
  const { kernel, loadReceipt } = await killed();
  const { damon } = kernel;
  damon.kill(0);
  await damon.write('/sys/kernel/mm/damon/admin/kdamonds/0/state', 'on');
  const next = await engineOver(kernel, { loadReceipt, waitForDamon: true });
  const starting = next.start();
  await expect.poll(() => next.status().waitingFor).toContain('DAMON');
  expect(budget(kernel)).toBe('1');
  await next.stop();
  await expect(starting).rejects.toThrow();
});
