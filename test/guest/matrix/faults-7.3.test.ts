import { faultTests } from '../fault-tests.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes('faults on 7.3', '7.3', (stage) => faultTests(stage, { diesOfCommit: false }));
