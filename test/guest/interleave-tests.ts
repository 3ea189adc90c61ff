import { expect, it } from 'vitest';
import type { Guest } from './guest.ts';
import type { Stage } from './stage.ts';

const folder = '/sys/kernel/mm/mempolicy/weighted_interleave';

/** The weights of weighted interleaving as an operator meets them, on kernels that derive them by themselves (6.16) and on others. */
export function interleaveTests(stage: () => Stage): void {
  it('sets weights of weighted interleaving, and gives them back to the kernel', async () => {
    const { guest } = stage();
    const tierd = await stage().startTierd();
    await stage().explain(async () => {
      await setAndGiveBackWeights(guest, 'node /opt/tierd/tierd.js');
      expect(await tierd.complaints()).toEqual([]);
    });
  });
}

/** Sets weights with the command line and gives them back, and looks each time at what the kernel says. */
export async function setAndGiveBackWeights(guest: Guest, command: string): Promise<void> {
  const weights = () => guest.check(`cat ${folder}/node0 ${folder}/node1`);
  const { exitCode, stdout } = await guest.run(`cat ${folder}/auto`);
  const hasAuto = exitCode === 0;
  if (hasAuto) expect(stdout.trim()).toBe('true');
  const before = await weights();
  await guest.check(`${command} interleave set 0=3 1=2`);
  expect(await weights()).toBe('3\n2\n');
  const manual = await guest.check(`${command} interleave get`);
  expect(manual).toMatch(/^ *0 +3/m);
  expect(manual).toMatch(/^ *1 +2/m);
  expect(manual).toContain('manual: ');
  if (hasAuto) expect((await guest.check(`cat ${folder}/auto`)).trim()).toBe('false');

  await guest.check(`${command} interleave set kernel`);
  expect(await weights()).toBe(before);
  expect(await guest.check(`${command} interleave get`)).toContain(hasAuto ? '\nauto: ' : '\nmanual: ');
  if (hasAuto) expect((await guest.check(`cat ${folder}/auto`)).trim()).toBe('true');
}
