import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../../../..');

/** Every file that a module needs at run time, by what it is imported from; packages and node's own by their names. */
function neededBy(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(join(ROOT, file), 'utf8');
  for (const [, what = '', from = ''] of text.matchAll(/^import (type )?[^;]*?from '([^']+)';/gm)) {
    if (what !== '') continue;
    if (from.startsWith('.')) neededBy(relative(ROOT, join(ROOT, dirname(file), from)), seen);
    else seen.add(from);
  }
  return seen;
}

test('what the loop decides by needs no time, no files and no driver', () => {
  for (const file of ['step', 'state', 'status', 'preview', 'desired-kdamonds', 'decision-clock', 'decision-log']) {
    const needed = [...neededBy(`tiering/loop/${file}.ts`)];
    expect(
      needed.filter((name) => !name.endsWith('.ts') || /damon\/|sysfs|syscalls|monotonic|fleet/.test(name)),
    ).toEqual([]);
  }
  // It would show.
  expect([...neededBy('tiering/loop/runtime.ts')]).toContain('node:timers/promises');
});
