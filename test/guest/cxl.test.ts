import { cxlTests } from './cxl-tests.ts';

// The same on 6.12 is in matrix/.
cxlTests('7.3');
