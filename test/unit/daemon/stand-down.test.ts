import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { standDownLeftovers } from '../../../daemon/stand-down.ts';
import { lockStateDirectory, receiptFile } from '../../../daemon/state-file.ts';
import { DamonDriver } from '../../../tiering/damon/driver.ts';
import { kdamond } from '../damon/desired.ts';
import { FakeDamon } from '../damon/fake-damon.ts';

const logger = pino({ level: 'silent' });
const SOON_MS = 300;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-stand-down-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** A daemon that was killed while its schemes on two nodes moved memory. */
async function killed(): Promise<FakeDamon> {
  const damon = new FakeDamon('6.12');
  const receipts = receiptFile(directory, logger);
  const driver = new DamonDriver({ sysfs: damon, saveReceipt: (receipt) => receipts.save(receipt) });
  await driver.prepare();
  await driver.start([kdamond(0), kdamond(1)]);
  damon.writes.length = 0;
  return damon;
}

async function standDown(damon: FakeDamon) {
  let text = '';
  const code = await standDownLeftovers({ stateDirectory: directory }, (line) => (text += line), damon, SOON_MS);
  return { code, text };
}

const budgets = (damon: FakeDamon) => [0, 1].map((index) => damon.value(`${index}/contexts/0/schemes/0/quotas/bytes`));

test('what a killed daemon left moves nothing, and goes on watching for the next one', async () => {
  const damon = await killed();
  expect(await standDown(damon)).toEqual({
    code: 0,
    text: 'kdamond 0 (node 0): its schemes are off, it goes on watching\nkdamond 1 (node 1): its schemes are off, it goes on watching\n',
  });
  expect(budgets(damon)).toEqual(['1', '1']);
  const next = new DamonDriver({ sysfs: damon, saveReceipt: async () => undefined });
  expect((await next.prepare(await receiptFile(directory, logger).load())).adopted).toHaveLength(2);
});

test('where there is nothing, nothing is done: no receipt, none that can be read, no directory', async () => {
  const damon = new FakeDamon('6.12');
  expect(await standDown(damon)).toEqual({ code: 0, text: '' });
  await writeFile(join(directory, 'damon-receipt.json'), 'nonsense');
  expect(await standDown(damon)).toEqual({ code: 0, text: '' });
  const elsewhere = join(directory, 'missing');
  expect(await standDownLeftovers({ stateDirectory: elsewhere }, () => undefined, damon)).toBe(0);
  expect(damon.writes).toEqual([]);
});

test('while a daemon is at work its orders stand', async () => {
  const damon = await killed();
  const lock = await lockStateDirectory(directory, logger);
  await expect(standDown(damon)).rejects.toMatchObject({ code: 'TIERD_ALREADY_RUNNING' });
  expect(damon.writes).toEqual([]);
  await lock?.close();
});

test('one that hangs is told, takes no longer than it may, and keeps the other from nothing', async () => {
  const damon = await killed();
  const { write } = damon;
  damon.write = (path, value) =>
    path.endsWith('/0/state') ? new Promise(() => undefined) : write.call(damon, path, value);
  const startedAtMs = performance.now();
  expect(await standDown(damon)).toEqual({
    code: 84,
    text: 'kdamond 0 (node 0) may go on to move memory: it does not answer\nkdamond 1 (node 1): its schemes are off, it goes on watching\n',
  });
  expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS + 2_000);
});
