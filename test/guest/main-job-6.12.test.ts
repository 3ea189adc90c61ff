import { describe } from 'vitest';
import { migrationTests } from './migration-tests.ts';
import { damonStatTests, ownershipTests } from './ownership.ts';
import { olderKernelTests, pageTests, probeTests } from './page-tests.ts';
import { restTests } from './rest.ts';
import { scenarioTests } from './scenario-tests.ts';
import { serviceLifeTests } from './service-life-tests.ts';
import { serviceTests } from './service-tests.ts';
import { onTwoNodes } from './two-nodes.ts';

// What is not here for its time is in matrix/.
onTwoNodes('tierd on 6.12', '6.12', (stage) => {
  scenarioTests(stage, { label: '6.12', only: ['full', 'target'] });
  damonStatTests(stage, false);
  ownershipTests(stage, false);
  restTests(stage);

  describe('engine move_pages', () => {
    olderKernelTests(stage);
    pageTests(stage);
    migrationTests(stage);
    probeTests(stage);
  });

  serviceTests(stage);
  serviceLifeTests(stage);
});
