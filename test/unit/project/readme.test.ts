import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const readme = read('README.md');

test('the scripts that the README names are there', () => {
  const { scripts } = JSON.parse(read('package.json'));
  const named = [...readme.matchAll(/\bnpm (?:run )?([a-z][a-z:]+)\b/g)].map(([, name]) => name);
  for (const name of new Set(named)) {
    if (name !== 'ci') expect(Object.keys(scripts), `npm run ${name}`).toContain(name);
  }
});

test('continuous integration runs the test command of the README', () => {
  expect(readme).toContain('npm ci && npm test');
  expect(read('.ci/run')).toMatch(/^npm ci\nnpm test$/m);
});
