import { cxlTests, halfRemovedTests } from '../cxl-tests.ts';

cxlTests('6.12');
for (const kernel of ['6.12', '7.3']) halfRemovedTests(kernel);
