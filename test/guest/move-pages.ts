import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { Guest } from './guest.ts';
import { migrationTests } from './migration-tests.ts';
import { olderKernelTests, pageTests } from './page-tests.ts';
import { scenarioTests } from './scenario-tests.ts';
import { Stage } from './stage.ts';
import { bootWithTierd } from './tierd-in-guest.ts';

/** The main job with the move_pages engine on one kernel, and what else this engine does: a guest with two nodes, booted once. */
export function movePagesJob(kernel: '6.12' | '7.3'): void {
  describe(`engine move_pages on ${kernel}`, () => {
    let guest: Guest;
    let stage: Stage;

    beforeAll(async () => {
      guest = await bootWithTierd({ kernel, topology: 'numa2' });
      stage = await Stage.open(guest);
      // Long, for the image may have to be built and another guest of this machine may have to end first.
    }, 1_800_000);

    afterEach(() => stage?.clear(), 120_000);

    afterAll(() => guest?.shutdown());

    // NOT YET the 2 % that the other engine keeps: 12 to 21 of 450 MiB came along when all had been demoted before (6.12).
    scenarioTests(() => stage, `${kernel} move_pages`, { engine: 'move_pages' }, 0.08);
    pageTests(() => stage);
    migrationTests(() => stage);
    if (kernel === '6.12') olderKernelTests(() => stage);
  });
}
