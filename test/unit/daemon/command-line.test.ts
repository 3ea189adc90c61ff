import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parseCommandLine, usage } from '../../../daemon/command-line.ts';

test.each([
  [['run'], { name: 'run', options: {} }],
  [
    ['run', '--config', 'a.yaml', '--dry-run', '--log-level=debug', '--socket', '/s', '--state-directory', '/d'],
    {
      name: 'run',
      options: { config: resolve('a.yaml'), dryRun: true, logLevel: 'debug', socket: '/s', stateDirectory: '/d' },
    },
  ],
  [['--dry-run', 'run'], { name: 'run', options: { dryRun: true } }],
  [['about'], { name: 'about' }],
  [['probe'], { name: 'probe', options: {} }],
  [['probe', '--json'], { name: 'probe', options: { json: true } }],
  [
    ['measure-node', '1', '67108864', '0-1'],
    { name: 'measure-node', request: { nodeId: 1, bufferBytes: 67_108_864, cpus: [0, 1] } },
  ],
  [['--help'], { name: 'help' }],
  [['run', '-h'], { name: 'help' }],
  [['-V'], { name: 'version' }],
])('%j', (args, command) => {
  expect(parseCommandLine(args)).toEqual(command);
});

test.each([
  [[], 'name a command: run, probe or about'],
  [['rum'], 'there is no command "rum": did you mean run?'],
  [['destroy'], 'there is no command "destroy"'],
  [['run', 'fast'], '"fast" is one argument too many'],
  [['run', '--confg', 'x'], "Unknown option '--confg': did you mean --config?"],
  [['run', '-x'], "Unknown option '-x'"],
  [['run', '--dry-run=no'], "Option '--dry-run' does not take an argument"],
  [['run', '--socket'], "Option '--socket <value>' argument missing"],
  [
    ['run', '--log-level', 'loud'],
    '--log-level loud is not allowed: must be trace, debug, info, warn, error, fatal or silent',
  ],
  [['about', '--dry-run'], '--dry-run is an option of run'],
  [['probe', '--dry-run'], '--dry-run is an option of run'],
  [['run', '--json'], '--json is an option of probe'],
  [['probe', '1'], '"1" is one argument too many'],
])('%j is a usage error', (args, message) => {
  expect(() => parseCommandLine(args)).toThrow(
    expect.objectContaining({ code: 'TIERD_USAGE', message: `${message}; tierd --help shows what there is` }),
  );
});

test('--help names every option and default', () => {
  const text = usage();
  for (const word of [
    'tierd probe',
    '--json',
    '--config',
    '--dry-run',
    '--log-level',
    '--socket',
    '--state-directory',
    '/etc/tierd/tierd.yaml',
    '/run/tierd/tierd.sock',
    '/var/lib/tierd',
  ]) {
    expect(text).toContain(word);
  }
});
