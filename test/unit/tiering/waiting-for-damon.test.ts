import { afterEach, expect, test } from 'vitest';
import { startLine } from '../../../daemon/start-status.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { engineOver } from './running-engine.ts';

/** DAMON is looked at every 2 s. */
const POLL = { timeout: 20_000, interval: 20 };
const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds';
const DAMON_STAT = '/sys/module/damon_stat/parameters/enabled';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

async function waiting() {
  const kernel = new FakeKernel();
  endings.push(() => kernel.remove());
  const { damon } = kernel;
  await damon.write(DAMON_STAT, 'N');
  const runtime = await engineOver(kernel, { waitForDamon: true, switchOffDamonStat: false });
  endings.unshift(() => runtime.stop());
  return { damon, runtime };
}

test('while another tool has DAMON the status says in a few words whose it is, and that no longer once DAMON is free', async () => {
  const { damon, runtime } = await waiting();
  await damon.write(`${KDAMONDS}/nr_kdamonds`, '1');
  await damon.write(`${KDAMONDS}/0/contexts/nr_contexts`, '1');
  await damon.write(`${KDAMONDS}/0/contexts/0/operations`, 'paddr');
  await damon.write(`${KDAMONDS}/0/state`, 'on');
  const starting = runtime.start();
  await expect
    .poll(() => startLine(runtime.status()), POLL)
    .toMatch(/^waiting for DAMON: kdamond 0 \(pid \d+, paddr, no schemes\)$/);
  expect(runtime.status().state).toBe('starting');
  damon.kill(0);
  await starting;
  expect(startLine(runtime.status())).toBe('starting: waiting for the first snapshot');
});

test('so when a kernel module has it', async () => {
  const { damon, runtime } = await waiting();
  await damon.write(DAMON_STAT, 'Y');
  const starting = runtime.start();
  await expect.poll(() => startLine(runtime.status()), POLL).toBe('waiting for DAMON: kernel module damon_stat');
  await damon.write(DAMON_STAT, 'N');
  await starting;
  expect(runtime.status().waitingFor).toBeUndefined();
});
