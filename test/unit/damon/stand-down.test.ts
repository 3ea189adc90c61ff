import { expect, test } from 'vitest';
import { DamonDriver } from '../../../tiering/damon/driver.ts';
import type { Receipt } from '../../../tiering/damon/receipt.ts';
import { standDown } from '../../../tiering/damon/stand-down.ts';
import { kdamond } from './desired.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeDamon } from './fake-damon.ts';

const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds';

/** A daemon that was killed while its schemes on two nodes moved memory. */
async function killed(kernel: '6.12' | '7.3') {
  const damon = new FakeDamon(kernel);
  let receipt: Receipt | undefined;
  const saveReceipt = async (saved: Receipt | undefined) => {
    receipt = saved;
  };
  const driver = new DamonDriver({ sysfs: damon, saveReceipt });
  await driver.prepare();
  await driver.start([kdamond(0), kdamond(1)]);
  damon.writes.length = 0;
  return { damon, stand: () => standDown(damon, receipt, { clock: new FakeClock(), busyLimitMs: 100 }) };
}

const budgets = (damon: FakeDamon) => [0, 1].map((index) => damon.value(`${index}/contexts/0/schemes/0/quotas/bytes`));

test.each(['6.12', '7.3'] as const)(
  'on %s the schemes of an earlier process are off, and its kdamonds go on',
  async (kernel) => {
    const { damon, stand } = await killed(kernel);
    expect(await stand()).toEqual([
      { index: 0, nodeId: 0, result: 'quiet' },
      { index: 1, nodeId: 1, result: 'quiet' },
    ]);
    expect(budgets(damon)).toEqual(['1', '1']);
    expect(damon.value('1/contexts/0/schemes/0/access_pattern/age/min')).toBe('4294967295');
    expect(damon.writes.filter((write) => write.endsWith('=commit'))).toHaveLength(2);
    expect(damon.value('0/state')).toBe('on');
  },
);

test('a kdamond that takes no commit is switched off, and the other is quiet all the same', async () => {
  const { damon, stand } = await killed('7.3');
  damon.failures.push({ path: '0/state', value: 'commit', errno: 'ENOMEM' });
  expect(await stand()).toEqual([
    { index: 0, nodeId: 0, result: 'off' },
    { index: 1, nodeId: 1, result: 'quiet' },
  ]);
  expect(damon.value('0/state')).toBe('off');
});

test('what cannot be had off is told, and does not keep the other from it', async () => {
  const { damon, stand } = await killed('7.3');
  damon.failures.push({ path: '0/state', errno: 'EIO' }, { path: '0/state', errno: 'EIO' });
  const [first, second] = await stand();
  expect(first).toMatchObject({ index: 0, result: { reason: expect.stringContaining('EIO') } });
  expect(second).toMatchObject({ index: 1, result: 'quiet' });
});

test("another tool's kdamond in a directory of ours is left alone, and so are those of an earlier boot", async () => {
  const { damon, stand } = await killed('7.3');
  damon.kill(0);
  await damon.write(`${KDAMONDS}/0/state`, 'on');
  damon.writes.length = 0;
  expect(await stand()).toEqual([{ index: 1, nodeId: 1, result: 'quiet' }]);
  expect(damon.writes.some((write) => write.startsWith('0/'))).toBe(false);
  damon.files.set('/proc/sys/kernel/random/boot_id', 'another');
  expect(await stand()).toEqual([]);
});
