import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { Guest } from './guest.ts';
import { ownershipTests } from './ownership.ts';
import { restTests } from './rest.ts';
import { scenarioTests } from './scenario-tests.ts';
import { Stage } from './stage.ts';
import { bootWithTierd } from './tierd-in-guest.ts';

/** The main job on one kernel: a guest with two nodes, booted once. */
export function mainJob(kernel: '6.12' | '7.3'): void {
  describe(`tierd on ${kernel}`, () => {
    let guest: Guest;
    let stage: Stage;

    beforeAll(async () => {
      guest = await bootWithTierd({ kernel, topology: 'numa2' });
      stage = await Stage.open(guest);
      // Long, for the image may have to be built and another guest of this machine may have to end first.
    }, 1_800_000);

    afterEach(() => stage?.clear(), 120_000);

    afterAll(() => guest?.shutdown());

    scenarioTests(() => stage, kernel);
    ownershipTests(() => stage, kernel === '7.3');
    restTests(() => stage);
  });
}
