import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parseCommandLine } from '../../../daemon/command-line.ts';

test.each([
  [['run'], { name: 'run', options: {} }],
  [
    ['run', '--config', 'a.yaml', '--dry-run', '--log-level=debug', '--socket', '/s', '--state-directory', '/d'],
    {
      name: 'run',
      options: { config: resolve('a.yaml'), dryRun: true, logLevel: 'debug', socket: '/s', stateDirectory: '/d' },
    },
  ],
  [['about'], { name: 'about' }],
  [['probe'], { name: 'probe', options: {} }],
  [['probe', '--json'], { name: 'probe', options: { json: true } }],
  [
    ['measure-node', '1', '67108864', '0-1'],
    { name: 'measure-node', request: { nodeId: 1, bufferBytes: 67_108_864, cpus: [0, 1] } },
  ],
  [['completion', 'fish'], { name: 'completion', shell: 'fish' }],
  [['--help'], { name: 'help', text: expect.stringContaining('Usage: tierd') }],
  [['run', '-h'], { name: 'help', text: expect.stringContaining('--state-directory') }],
  [['-V'], { name: 'version' }],
])('%j', (args, command) => {
  expect(parseCommandLine(args)).toEqual(command);
});

test.each([
  [['status'], { method: 'GET', path: '/v1/status', as: 'text' }],
  [['status', '--watch', '--json'], { method: 'GET', path: '/v1/status', as: 'json', watch: true }],
  [['topology', '--socket', '/s'], { method: 'GET', path: '/v1/topology', as: 'text', socket: '/s' }],
  [['snapshot', '--limit', '1&2'], { method: 'GET', path: '/v1/snapshot?limit=1%262', as: 'text' }],
  [
    ['snapshot', '--node', '1', '--min-rate', '0.5', '--max-age', '3', '--min-size', '4096', '--sort', 'largest'],
    {
      method: 'GET',
      path: '/v1/snapshot?nodeId=1&minAccessRate=0.5&maxAgeSeconds=3&minSizeBytes=4096&sort=largest',
      as: 'text',
    },
  ],
  [['history'], { method: 'GET', path: '/v1/history', as: 'text' }],
  [
    ['history', '--node', '1', '--since', '3600', '--step', '60'],
    { method: 'GET', path: '/v1/history?sinceSeconds=3600&stepSeconds=60&nodeId=1', as: 'text' },
  ],
  [['pause'], { method: 'POST', path: '/v1/pause', as: 'text' }],
  [['policy', 'get', '--json'], { method: 'GET', path: '/v1/policy?sources=true', as: 'json' }],
  [
    [
      'policy',
      'set',
      'fastUtilization=0.9',
      'promotion.minAgeSeconds=null',
      'cgroups.include=/a,/b',
      'headroomMiB=auto',
    ],
    {
      method: 'PATCH',
      path: '/v1/policy',
      as: 'text',
      show: 'policy-change',
      body: {
        fastUtilization: 0.9,
        promotion: { minAgeSeconds: null },
        cgroups: { include: ['/a', '/b'] },
        headroomMiB: 'auto',
      },
    },
  ],
  [
    ['policy', 'set', '--dry-run', 'promotion.minAgeSeconds=1', 'promotion.minAccessRate=0.5'],
    {
      method: 'PATCH',
      path: '/v1/policy?dryRun=true',
      as: 'text',
      show: 'preview',
      body: { promotion: { minAgeSeconds: 1, minAccessRate: 0.5 } },
    },
  ],
])('%j asks the daemon', (args, request) => {
  expect(parseCommandLine(args)).toEqual({ name: 'ask', request });
});

test.each([
  [[], 'name a command'],
  [['rum'], "unknown command 'rum' (Did you mean run?)"],
  [['run', 'fast'], "too many arguments for 'run'. Expected 0 arguments but got 1"],
  [['run', '--confg', 'x'], "unknown option '--confg' (Did you mean --config?)"],
  [['run', '-x'], "unknown option '-x'"],
  [['run', '--socket'], "option '--socket <path>' argument missing"],
  [
    ['run', '--log-level', 'loud'],
    "option '--log-level <level>' argument 'loud' is invalid. Allowed choices are trace, debug, info, warn, error, fatal, silent",
  ],
  [['about', '--dry-run'], "unknown option '--dry-run'"],
  [['policy'], 'name what to do with the policy: get or set'],
  [['interleave'], 'name what to do with the weights of interleaving: get or set'],
  [['policy', 'set'], "missing required argument 'key=value'"],
  [['policy', 'set', 'fastUtilization'], '"fastUtilization" is no KEY=VALUE'],
  [['policy', 'set', 'fastUtilisation=1'], 'the policy has no key "fastUtilisation": did you mean fastUtilization?'],
  [['policy', 'set', '__proto__.x=1'], 'the policy has no key "__proto__.x"'],
  [
    ['completion', 'tcsh'],
    "command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish",
  ],
])('%j is a usage error', (args, message) => {
  expect(() => parseCommandLine(args)).toThrow(
    expect.objectContaining({ code: 'TIERD_USAGE', message: `${message}; tierd --help shows what there is` }),
  );
});
