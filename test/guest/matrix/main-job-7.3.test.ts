import { gradedTests } from '../graded-tests.ts';
import { interleaveTests } from '../interleave-tests.ts';
import { ownershipTests } from '../ownership.ts';
import { restTests } from '../rest.ts';
import { scenarioTests } from '../scenario-tests.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes('tierd on 7.3', '7.3', (stage) => {
  scenarioTests(stage, { label: '7.3' });
  gradedTests(stage, { label: '7.3' });
  ownershipTests(stage, true);
  restTests(stage);
  interleaveTests(stage);
});
