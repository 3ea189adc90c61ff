import { gradedTests } from '../graded-tests.ts';
import { hugeAndSharedPageTests } from '../page-tests.ts';
import { scenarioTests } from '../scenario-tests.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes('engine move_pages on 6.12', '6.12', (stage) => {
  scenarioTests(stage, { label: '6.12 move_pages', config: { engine: 'move_pages' } });
  gradedTests(stage, { label: '6.12 move_pages', config: { engine: 'move_pages' } });
  hugeAndSharedPageTests(stage);
});
