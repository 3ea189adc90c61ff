import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { Guest } from './guest.ts';
import { Stage } from './stage.ts';
import { bootWithTierd } from './tierd-in-guest.ts';

/** Tests in a guest with a fast and a slow node, booted once for all of them. */
export function onTwoNodes(
  title: string,
  kernel: '6.12' | '7.3',
  tests: (stage: () => Stage) => void,
  topology: 'numa2' | 'numa2-large' = 'numa2',
): void {
  describe(title, () => {
    let guest: Guest;
    let stage: Stage;

    beforeAll(async () => {
      guest = await bootWithTierd({ kernel, topology });
      stage = await Stage.open(guest);
      // Long, for the image may have to be built and another guest of this machine may have to end first.
    }, 1_800_000);

    afterEach(() => stage?.clear(), 300_000);

    afterAll(() => guest?.shutdown());

    tests(() => stage);
  });
}
