import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../daemon/command-line.ts';
import { parseConfig } from '../../../daemon/config.ts';
import { ConfigSchema } from '../../../daemon/config-schema.ts';
import { ENDS_WITHIN_MS } from '../../../daemon/daemon.ts';
import { EXIT_STATUSES, exitCodeOf } from '../../../daemon/exit-codes.ts';
import { configTable } from '../../../scripts/config-table.ts';
import { sampleConfig } from '../../../scripts/sample-config.ts';

function read(path: string): Promise<string> {
  return readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');
}

test('no two exit codes are the same, and none is of two errors', () => {
  const codes = EXIT_STATUSES.flatMap((status) => status.codes);
  expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
  const errors = EXIT_STATUSES.flatMap((status) => status.errors);
  expect(errors).toEqual([...new Set(errors)]);
});

describe('the sample configuration', () => {
  const sample = sampleConfig(ConfigSchema);
  const uncommented = sample.replaceAll(/^#((?: {2})?\w+:)/gm, '$1');

  test('is all defaults', () => {
    expect(parseConfig(sample, 'sample')).toEqual(parseConfig('', 'empty'));
  });

  test('is all defaults with every key uncommented, and has every key', () => {
    expect(parseConfig(uncommented, 'sample')).toEqual(parseConfig('', 'empty'));
    const keys = [...uncommented.matchAll(/^(?: {2})?(\w+):/gm)].map(([, key]) => key);
    const count = configTable(ConfigSchema).split('\n').length - 3;
    const groups = Object.values(ConfigSchema.properties).filter((schema) => 'properties' in schema).length;
    expect(keys).toHaveLength(count + groups);
  });

  test('is no wider than 100 columns', () => {
    for (const line of sample.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });
});

test('the unit leaves the daemon the time that it takes to give DAMON back, and switches off what a killed one left', async () => {
  const unit = await read('systemd/tierd.service');
  const stopSeconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]);
  expect(stopSeconds * 1000).toBeGreaterThan(ENDS_WITHIN_MS);
  // systemd reads $$ as $.
  const script = (/^ExecStopPost=-\/bin\/sh -c '(.*)'$/m.exec(unit)?.[1] ?? '').replaceAll('$$', '$');
  const told = (result: string) => {
    const telling = script.replace('exec /usr/bin/node /opt/tierd/tierd.js', 'echo');
    return spawnSync('sh', ['-c', telling], { env: { SERVICE_RESULT: result }, encoding: 'utf8' }).stdout.trim();
  };
  expect(told('success')).toBe('');
  for (const result of ['signal', 'exit-code', 'watchdog', 'timeout', 'oom-kill', '']) {
    expect(parseCommandLine(told(result).split(' '))).toEqual({ name: 'stand-down', options: {} });
  }
});

test('the unit does not restart what a restart does not mend', async () => {
  const unit = await read('systemd/tierd.service');
  const listed = /^RestartPreventExitStatus=(.*)$/m.exec(unit)?.[1]?.split(' ').map(Number);
  // No tiers, and no room for the receipt, are missing: both may come.
  const codes = ['USAGE', 'CONFIG', 'DAMON_FOREIGN', 'DAMON_UNSUPPORTED', 'ALREADY_RUNNING'];
  expect(listed).toEqual(codes.map((code) => exitCodeOf(Object.assign(new Error(), { code: `TIERD_${code}` }))));
});
