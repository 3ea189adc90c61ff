import { faultTests } from '../fault-tests.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes('faults on 6.12', '6.12', (stage) => faultTests(stage, { diesOfCommit: true }));
