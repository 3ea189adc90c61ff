import { describe } from 'vitest';
import { hotShareTests } from './hot-share-tests.ts';
import { migrationTests } from './migration-tests.ts';
import { ownershipTests } from './ownership.ts';
import { olderKernelTests, pageTests, probeTests } from './page-tests.ts';
import { restTests } from './rest.ts';
import { scenarioTests } from './scenario-tests.ts';
import { serviceLifeTests } from './service-life-tests.ts';
import { serviceTests } from './service-tests.ts';
import { onTwoNodes } from './two-nodes.ts';

onTwoNodes('tierd on 6.12', '6.12', (stage) => {
  scenarioTests(stage, { label: '6.12' });
  ownershipTests(stage, false);
  restTests(stage);
  hotShareTests(stage);

  // Its other scenarios, and all of them on 7.3, are in matrix/.
  describe('engine move_pages', () => {
    olderKernelTests(stage);
    scenarioTests(stage, { label: '6.12 move_pages', config: { engine: 'move_pages' }, only: ['full', 'target'] });
    pageTests(stage);
    migrationTests(stage);
    probeTests(stage);
  });

  serviceTests(stage);
  serviceLifeTests(stage);
});
