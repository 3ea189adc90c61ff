import { gradedTests } from '../graded-tests.ts';
import { hotShareTests } from '../hot-share-tests.ts';
import { scenarioTests } from '../scenario-tests.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes('tierd on 6.12', '6.12', (stage) => {
  // The others are in npm test.
  scenarioTests(stage, { label: '6.12', only: ['room', 'many', 'shift', 'overcommit'] });
  hotShareTests(stage);
  gradedTests(stage, { label: '6.12' });
});
