import { gradedTests } from '../graded-tests.ts';
import { migrationTests } from '../migration-tests.ts';
import { hugeAndSharedPageTests, pageTests, probeTests } from '../page-tests.ts';
import { scenarioTests } from '../scenario-tests.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes('engine move_pages on 7.3', '7.3', (stage) => {
  scenarioTests(stage, { label: '7.3 move_pages', config: { engine: 'move_pages' } });
  gradedTests(stage, { label: '7.3 move_pages', config: { engine: 'move_pages' } });
  pageTests(stage);
  hugeAndSharedPageTests(stage);
  migrationTests(stage);
  probeTests(stage);
});
