import { hotShareGoalTests } from './hot-share-tests.ts';
import { damonStatTests } from './ownership.ts';
import { onTwoNodes } from './two-nodes.ts';

// What this kernel has that 6.12 has not; all the rest is in matrix/.
onTwoNodes('tierd on 7.3', '7.3', (stage) => {
  damonStatTests(stage, true);
  hotShareGoalTests(stage);
  // The others, and other kernels and engines, are in matrix/.
});
