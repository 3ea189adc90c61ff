import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Receipt } from '../../../tiering/damon/receipt.ts';
import { ReceiptKeeper } from '../../../tiering/damon/receipt-keeper.ts';

const RECEIPT: Receipt = { version: 1, bootId: 'boot-one', directories: 1, kdamonds: [], originalTree: {} };
const NEWER: Receipt = { ...RECEIPT, directories: 2 };

function keeper() {
  const saved: (Receipt | undefined)[] = [];
  const log: string[] = [];
  const disk: { failure?: Error } = {};
  const note = (_: object, message: string) => void log.push(message);
  const logger = { debug: note, info: note, warn: note, error: note };
  const write = async (receipt: Receipt | undefined): Promise<void> => {
    if (disk.failure !== undefined) throw disk.failure;
    saved.push(receipt);
  };
  return { receipts: new ReceiptKeeper(write, logger), saved, log, disk };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

describe('a receipt that cannot be saved', () => {
  test('is no error while kdamonds run: what is at risk is told, in the log once', async () => {
    const { receipts, log, disk } = keeper();
    await receipts.save(RECEIPT, 'durably');
    expect(receipts.problem).toBeUndefined();
    disk.failure = new Error('ENOSPC: no space left on device');
    await receipts.save(NEWER);
    await receipts.save(NEWER);
    expect(receipts.problem).toMatch(/^ENOSPC: .*crashed.*for somebody else's$/);
    expect(log).toEqual([expect.stringMatching(/not saved.*tried again.*crashed/)]);
  });

  test('is tried again, the newest one, until it is saved', async () => {
    const { receipts, saved, log, disk } = keeper();
    disk.failure = new Error('EROFS: read-only file system');
    await receipts.save(RECEIPT);
    await receipts.save(NEWER);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(saved).toEqual([]);
    delete disk.failure;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(saved).toEqual([NEWER]);
    expect(receipts.problem).toBeUndefined();
    expect(log.at(-1)).toContain('saved again');
    await vi.advanceTimersByTimeAsync(120_000);
    expect(saved).toHaveLength(1);
  });

  test('is an error for whoever needs it on disk first', async () => {
    const { receipts, disk } = keeper();
    disk.failure = new Error('ENOSPC');
    await expect(receipts.save(RECEIPT, 'durably')).rejects.toThrow('ENOSPC');
    expect(receipts.problem).toBeUndefined();
  });
});

test('a receipt that cannot be removed at the end is only a warning', async () => {
  const { receipts, log, disk } = keeper();
  await receipts.save(RECEIPT);
  disk.failure = new Error('EROFS');
  await receipts.save(undefined);
  expect(receipts.problem).toBeUndefined();
  expect(log).toEqual([expect.stringContaining('could not be removed')]);
});
