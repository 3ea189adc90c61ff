import { expect, test } from 'vitest';
import { DamonDriver } from '../../../tiering/damon/driver.ts';
import { kdamondOff } from '../../../tiering/scheme-off.ts';
import { kdamond, scheme } from './desired.ts';
import { FakeDamon } from './fake-damon.ts';

const STATS = '/sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/0/stats';
const LIMIT = '0/contexts/0/schemes/0/stats/max_nr_snapshots';
const ORDER = kdamond(0, { schemes: [scheme({ maxPasses: 6 })] });

async function started(kernel: '6.12' | '7.3') {
  const damon = new FakeDamon(kernel);
  const driver = new DamonDriver({ sysfs: damon, saveReceipt: async () => undefined });
  await driver.prepare();
  await driver.start([kdamondOff(ORDER)]);
  const pass = (passes: number) => {
    damon.files.set(`${STATS}/nr_snapshots`, String(Number(damon.files.get(`${STATS}/nr_snapshots`)) + passes));
  };
  return { damon, driver, pass };
}

test('an order ends in the kernel after a few passes from now, however many there were before', async () => {
  const { damon, driver, pass } = await started('7.3');
  pass(1000);
  await driver.apply(0, ORDER);
  expect(damon.value(LIMIT)).toBe('1006');
});

test('an order that is renewed goes on, with a commit only for every few passes', async () => {
  const { damon, driver, pass } = await started('7.3');
  await driver.apply(0, ORDER);
  const limits: (string | undefined)[] = [];
  for (let decision = 0; decision < 6; decision += 1) {
    pass(1);
    await driver.stats(0);
    await driver.apply(0, ORDER);
    limits.push(damon.value(LIMIT));
  }
  expect(limits).toEqual(['6', '6', '9', '9', '9', '12']);
  expect(damon.writes.filter((write) => write === '0/state=commit')).toHaveLength(3);
});

test('what is off has no end, and the next order counts from when it begins', async () => {
  const { damon, driver, pass } = await started('7.3');
  await driver.apply(0, ORDER);
  await driver.apply(0, kdamondOff(ORDER));
  expect(damon.value(LIMIT)).toBe('0');
  pass(50);
  await driver.apply(0, ORDER);
  expect(damon.value(LIMIT)).toBe('56');
});

test('kernels that count no passes are not asked', async () => {
  const { damon, driver } = await started('6.12');
  damon.writes.length = 0;
  await driver.apply(0, ORDER);
  expect(damon.writes.some((write) => write.includes('stats'))).toBe(false);
});
