import { it } from 'vitest';
import type { Guest } from './guest.ts';
import { bootWithTierd } from './tierd-in-guest.ts';

/** Long, for the image may have to be built and another guest of this machine may have to end first. */
const limitMs = 1_800_000;

/** A test in a guest that is booted for it alone. */
export function itInOwnGuest(
  title: string,
  options: Parameters<typeof bootWithTierd>[0],
  test: (guest: Guest) => Promise<void>,
): void {
  it(
    title,
    async () => {
      const guest = await bootWithTierd(options);
      try {
        await test(guest);
      } finally {
        await guest.shutdown();
      }
    },
    limitMs,
  );
}
