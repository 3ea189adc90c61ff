import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './bundle.ts';
import type { Architecture } from './debian-package.ts';
import { ARCHITECTURES, buildDebianPackage } from './debian-package.ts';

/** `npm run package [-- --version X] [-- --architecture amd64]`: Debian packages in dist-deb/. */
const { values } = parseArgs({ options: { version: { type: 'string' }, architecture: { type: 'string' } } });

function isArchitecture(name: string): name is Architecture {
  return Object.hasOwn(ARCHITECTURES, name);
}

const names = values.architecture === undefined ? Object.keys(ARCHITECTURES) : [values.architecture];
const architectures = names.filter(isArchitecture);
if (architectures.length < names.length) {
  process.stderr.write(`--architecture ${values.architecture}: must be ${Object.keys(ARCHITECTURES).join(' or ')}\n`);
  process.exitCode = 64;
}
for (const architecture of architectures) {
  process.stdout.write(`building for ${architecture} ...\n`);
  const directory = join(ROOT, 'dist-deb');
  const path = await buildDebianPackage({
    architecture,
    directory,
    ...(values.version && { version: values.version }),
  });
  process.stdout.write(`built ${path}\n`);
}
