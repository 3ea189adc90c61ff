import { readFile, writeFile } from 'node:fs/promises';
import { ConfigSchema } from '../daemon/config-schema.ts';
import { configTable, withConfigTable } from './config-table.ts';

/** Writes the configuration table into the README; with --check only tells whether it is the schema's. */
const readme = new URL('../README.md', import.meta.url);
const before = await readFile(readme, 'utf8');
const after = withConfigTable(before, configTable(ConfigSchema));

if (before === after) {
  process.stdout.write('README.md: the configuration table is up to date\n');
} else if (process.argv.includes('--check')) {
  process.stderr.write('README.md: the configuration table is not the schema: run npx tsx scripts/docs.ts\n');
  process.exitCode = 1;
} else {
  await writeFile(readme, after);
  process.stdout.write('README.md: configuration table written\n');
}
