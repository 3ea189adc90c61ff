import { readFile, writeFile } from 'node:fs/promises';
import { ConfigSchema } from '../daemon/config-schema.ts';
import { EXIT_STATUSES } from '../daemon/exit-codes.ts';
import { configTable } from './config-table.ts';
import { exitCodeTable } from './exit-code-table.ts';
import { withTable } from './markdown-table.ts';

/** Writes the README's generated tables; with --check only tells whether they are up to date. */
const readme = new URL('../README.md', import.meta.url);
const before = await readFile(readme, 'utf8');
const withConfig = withTable(before, 'config-table', configTable(ConfigSchema));
const after = withTable(withConfig, 'exit-codes', exitCodeTable(EXIT_STATUSES));

if (before === after) {
  process.stdout.write('README.md: the tables are up to date\n');
} else if (process.argv.includes('--check')) {
  process.stderr.write('README.md: the tables are not those of the code: run npm run docs\n');
  process.exitCode = 1;
} else {
  await writeFile(readme, after);
  process.stdout.write('README.md: tables written\n');
}
