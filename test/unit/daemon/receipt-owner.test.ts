import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { claimState } from '../../../daemon/claim-state.ts';
import { livingOwner, ownerOf } from '../../../daemon/receipt-owner.ts';
import { receiptFile } from '../../../daemon/state-file.ts';
import { bootId } from '../../../numa/kernel-identity.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';
import type { Receipt, ReceiptOwner } from '../../../tiering/damon/receipt.ts';

const sysfs = new HostSysFs();
const self = ownerOf(sysfs, process.pid);
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

async function receiptOf(owner: ReceiptOwner | undefined, boot?: string): Promise<Receipt> {
  return {
    version: 1,
    bootId: boot ?? (await bootId(sysfs)),
    ...(owner && { owner }),
    directories: 1,
    kdamonds: [],
    originalTree: {},
  };
}

/** Another process that runs, and how to end it. */
async function startProcess(): Promise<{ readonly owner: ReceiptOwner; readonly kill: () => Promise<void> }> {
  const child = spawn(process.execPath, ['-e', "console.log('ready'); setInterval(() => undefined, 1e6)"]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const owner = ownerOf(sysfs, child.pid ?? 0);
  if (owner === undefined) throw new Error('no process');
  const kill = async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { owner, kill };
}

describe('the owner of a receipt', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tierd-owner-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('lives as long as its process does, and no longer, by what is on disk', async () => {
    const { owner, kill } = await startProcess();
    const file = receiptFile(directory, silent);
    await file.save(await receiptOf(owner));
    expect(await livingOwner(sysfs, await file.load(), self)).toEqual(owner);
    await kill();
    expect(await livingOwner(sysfs, await file.load(), self)).toBeUndefined();
  });

  test('keeps a second daemon off, also where no lock does, until it has ended', async () => {
    const { owner, kill } = await startProcess();
    await receiptFile(directory, silent).save(await receiptOf(owner));
    for (let tries = 0; tries < 2; tries++) {
      await expect(claimState(directory, sysfs, silent)).rejects.toMatchObject({
        code: 'TIERD_ALREADY_RUNNING',
        message: expect.stringContaining(`pid ${owner.pid}`),
      });
    }
    await kill();
    const { lock, loadReceipt, saveReceipt } = await claimState(directory, sysfs, silent);
    await saveReceipt(await loadReceipt());
    expect(await loadReceipt()).toMatchObject({ owner: self });
    await lock?.close();
  });

  test('is dead when another process has its pid', async () => {
    const { owner } = await startProcess();
    const before = { ...owner, startTime: owner.startTime - 1 };
    expect(await livingOwner(sysfs, await receiptOf(before), self)).toBeUndefined();
  });

  test('is dead after a reboot, whoever has its pid and start time', async () => {
    const { owner } = await startProcess();
    expect(await livingOwner(sysfs, await receiptOf(owner, 'an earlier boot'), self)).toBeUndefined();
  });

  test('may be this process itself', async () => {
    expect(self).toBeDefined();
    expect(await livingOwner(sysfs, await receiptOf(self), self)).toBeUndefined();
  });

  test('is not known of a receipt that names none, nor without a receipt', async () => {
    expect(await livingOwner(sysfs, await receiptOf(undefined), self)).toBeUndefined();
    expect(await livingOwner(sysfs, undefined, self)).toBeUndefined();
  });
});
