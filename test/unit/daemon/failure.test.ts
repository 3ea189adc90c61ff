import { expect, test } from 'vitest';
import { ConfigError, StateDirectoryError } from '../../../daemon/errors.ts';
import { exitCodeOf } from '../../../daemon/exit-codes.ts';
import { failureLines } from '../../../daemon/failure.ts';
import { NumaUnavailableError } from '../../../numa/errors.ts';
import { NoTiersError } from '../../../tiering/errors.ts';
import { machine } from '../tiering/machines.ts';

test('a foreseen error is one line with its code', () => {
  const [line, ...rest] = failureLines(new NoTiersError(machine([{ nodeId: 0, tier: 0, totalMiB: 64 }])));
  expect(line).toMatch(/^tierd: no memory tiers: .*npm run demo \[TIERD_NO_TIERS\]$/);
  expect(rest).toEqual([]);
});

test('what the kernel forbids needs root', () => {
  const cause = Object.assign(new Error('EACCES: permission denied, mkdir'), { code: 'EACCES' });
  expect(failureLines(new StateDirectoryError('/var/lib/tierd', cause))).toEqual([
    'tierd: cannot keep state in /var/lib/tierd: EACCES: permission denied, mkdir; choose a directory that can be written with --state-directory; tierd needs root [TIERD_STATE_DIRECTORY]',
  ]);
});

test('a wrong configuration is a line for each problem', () => {
  expect(failureLines(new ConfigError(['a.yaml:1: x', 'a.yaml:2: y']))).toEqual([
    'tierd: a.yaml:1: x [TIERD_CONFIG]',
    'tierd: a.yaml:2: y [TIERD_CONFIG]',
  ]);
});

test('an unforeseen error shows where it was thrown', () => {
  const lines = failureLines(new TypeError('x is undefined'));
  expect(lines[0]).toBe('tierd: unexpected error: TypeError: x is undefined');
  expect(lines[1]).toContain('failure.test.ts');
  expect(failureLines('thrown text')).toEqual(['tierd: thrown text']);
});

test.each([
  [new ConfigError([]), 78],
  [new NoTiersError(machine([{ nodeId: 0, tier: 0, totalMiB: 64 }])), 80],
  [new NumaUnavailableError('/sys/devices/system/node', 'CONFIG_NUMA'), 82],
  [new Error('x'), 1],
  ['text', 1],
  [Object.assign(new Error(), { code: 'ENOENT' }), 1],
])('exit code of %s is %d', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});
