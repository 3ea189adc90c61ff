import { expect, test } from 'vitest';
import { ExclusiveModuleError, ForeignKdamondError } from '../../../tiering/damon/errors.ts';

const foreign = (index: number) => ({
  index,
  pid: 7000 + index,
  operations: 'paddr',
  actions: ['stat', 'migrate_cold', 'migrate_cold'],
  samplingIntervalUs: 5_000,
  aggregationIntervalUs: 100_000,
});

test("another tool's kdamond is named in a few words, and with its settings and the way out in full", () => {
  const { holder, message } = new ForeignKdamondError([foreign(0)]);
  expect(holder).toBe('kdamond 0 (pid 7000, paddr, schemes stat, migrate_cold)');
  expect(message).toContain(
    'kdamond 0 (pid 7000, paddr, schemes stat, migrate_cold, migrate_cold, sampling 5000 us, aggregation 100000 us)',
  );
  expect(message).toContain('echo off > /sys/kernel/mm/damon/admin/kdamonds/0/state');
});

test('of many kdamonds the few words name the first', () => {
  const { holder, message } = new ForeignKdamondError([0, 1, 2, 3, 4, 5, 6, 7].map(foreign));
  expect(holder).toBe('kdamond 0 (pid 7000, paddr, schemes stat, migrate_cold) and 7 more');
  expect(message).toContain('kdamond 7 (pid 7007');
});

test('one without schemes only watches', () => {
  expect(new ForeignKdamondError([{ ...foreign(0), actions: [] }]).holder).toBe(
    'kdamond 0 (pid 7000, paddr, no schemes)',
  );
});

test('a kernel module that holds DAMON is named in a few words, and its parameter in full', () => {
  const path = '/sys/module/damon_reclaim/parameters/enabled';
  const { holder, message } = new ExclusiveModuleError([path], `Switch it off first: echo N > ${path}`);
  expect(holder).toBe('kernel module damon_reclaim');
  expect(message).toContain(`${path} is Y. Switch it off first`);
});
