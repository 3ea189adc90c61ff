import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Guest } from '../guest.ts';
import { soak } from '../soak/soak.ts';
import { bootWithTierd, TierdProcess } from '../tierd-in-guest.ts';

const minutes = 10;

let guest: Guest;

beforeAll(async () => {
  guest = await bootWithTierd({ kernel: '6.12', topology: 'numa2' });
}, 1_800_000);

afterAll(() => guest?.shutdown());

// Not again when it fails: what grows once grows. An hour of it: npm run soak.
it('ten minutes of changing policy, readers, and processes that come and go: memory and descriptors stay flat, no update is lost', {
  timeout: (minutes + 5) * 60_000,
  retry: 0,
}, async () => {
  const tierd = await TierdProcess.start(guest);
  const { isFlat, lostUpdates, text } = await soak(guest, tierd, { minutes, onLine: () => undefined });
  console.log(text);
  expect(lostUpdates).toEqual([]);
  expect(isFlat, text).toBe(true);
  await tierd.stop();
});
