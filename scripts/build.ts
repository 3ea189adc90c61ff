import { join } from 'node:path';
import { bundleInto, ROOT } from './bundle.ts';

const version = await bundleInto(join(ROOT, 'dist'));
process.stdout.write(`built tierd ${version} in dist/\n`);
