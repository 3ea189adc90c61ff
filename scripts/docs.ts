import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT } from './bundle.ts';
import { referencePages } from './reference/pages.ts';

/** Writes the generated pages of docs/reference/; with --check only says which are out of date. */
const stale: string[] = [];
for (const [path, text] of await referencePages()) {
  const file = join(ROOT, path);
  const before = await readFile(file, 'utf8').catch(() => '');
  if (before === text) continue;
  stale.push(path);
  if (process.argv.includes('--check')) continue;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

if (stale.length === 0) {
  process.stdout.write('docs/reference is up to date\n');
} else if (process.argv.includes('--check')) {
  process.stderr.write(`out of date: ${stale.join(', ')}: run npm run docs\n`);
  process.exitCode = 1;
} else {
  process.stdout.write(`written: ${stale.join(', ')}\n`);
}
