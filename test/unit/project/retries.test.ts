import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ONCE } from '../../guest/safety.ts';
import { retriesText } from '../../retries-reporter.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

test('a run without retries has nothing to tell', () => {
  expect(retriesText([])).toBe('');
});

test('each retried test is told, with what it failed with', () => {
  const flaky = { file: 'a.test.ts', name: 'one', retries: 1, hasPassed: true, messages: ['first\nmore'] };
  const broken = { file: 'b.test.ts', name: 'two', retries: 2, hasPassed: false, messages: ['x', 'y', 'z'] };
  const text = retriesText([flaky, broken]);
  expect(text).toContain('FINDING: 2 tests did not pass at once\n');
  expect(text).toContain('  a.test.ts > one: run 2 times, passed in the end\n    first\n');
  expect(text).toContain('  b.test.ts > two: run 3 times, failed each time\n    x\n    y\n    z\n');
  expect(text).not.toContain('more');
});

/** Vitest itself, on a file of tests that fail at first, with the retries and the reporter of the guest projects. */
test('vitest tells of a test that passed at last, and runs what shows safety once', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tierd-retries-'));
  try {
    const file = join(directory, 'flaky.test.ts');
    writeFileSync(
      file,
      `import { describe, expect, test } from 'vitest';
let tries = 0;
test('flaky', () => expect(++tries).toBe(2));
let safe = 0;
describe('safety', ${JSON.stringify(ONCE)}, () => test('safe', () => expect(++safe).toBe(2)));
test('steady', () => {});
`,
    );
    const args = ['run', '--root', directory, '--retry', '2', '--reporter', join(root, 'test/retries-reporter.ts')];
    const out = outputOf(join(root, 'node_modules/vitest/vitest.mjs'), args);
    expect(out).toMatch(
      /FINDING: 1 test did not pass at once\n {2}flaky\.test\.ts > flaky: run 2 times, passed in the end\n {4}\S/,
    );
    expect(out).not.toContain('steady');
    expect(out).not.toContain('safe:');
  } finally {
    rmSync(directory, { recursive: true });
  }
}, 60_000);

function outputOf(program: string, args: readonly string[]): string {
  const env = { ...process.env, VITEST: undefined, VITEST_WORKER_ID: undefined, VITEST_POOL_ID: undefined };
  // It ends with 1, as one test fails.
  try {
    return execFileSync(process.execPath, [program, ...args], { encoding: 'utf8', env, stdio: 'pipe' });
  } catch (error) {
    if (error instanceof Error && 'stdout' in error) return String(error.stdout);
    throw error;
  }
}
