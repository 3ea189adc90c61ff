import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig, parseConfig } from '../../../daemon/config.ts';
import { ConfigError } from '../../../daemon/errors.ts';
import { withOptions } from '../../../daemon/run.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';

const DEFAULTS = {
  ...DEFAULT_POLICY,
  engine: 'auto',
  ownMemory: 'any',
  tiers: 'auto',
  waitForDamon: false,
  switchOffDamonStat: true,
  logLevel: 'info',
  api: {
    socket: '/run/tierd/tierd.sock',
    readSocket: '/run/tierd-read/tierd.sock',
    tcpPort: 'off',
    tokenFile: '/etc/tierd/token',
  },
  stateDirectory: '/var/lib/tierd',
};

function problems(text: string): readonly string[] {
  try {
    parseConfig(text, 'tierd.yaml');
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('parseConfig', () => {
  test.each(['', '# nothing\n', '---\n', '{}', 'promotion:\ncgroups:\n  # include: []\n'])(
    '%j is all defaults',
    (text) => {
      expect(parseConfig(text, 'tierd.yaml')).toEqual(DEFAULTS);
    },
  );

  test('takes what is said and leaves the rest', () => {
    const text = 'fastUtilization: 0.8\ndemotion:\n  minAgeSeconds: 10\ntiers: [[0, 1], [2]]\napi: {socket: /tmp/x}\n';
    expect(parseConfig(text, 'tierd.yaml')).toEqual({
      ...DEFAULTS,
      fastUtilization: 0.8,
      demotion: { ...DEFAULT_POLICY.demotion, minAgeSeconds: 10 },
      tiers: [[0, 1], [2]],
      api: { ...DEFAULTS.api, socket: '/tmp/x' },
    });
  });

  test.each([
    [
      '# a\n\n\n\npromotion:\n  # b\n  minAccessRate: 3\n',
      ['tierd.yaml:7: promotion.minAccessRate: 3 is not allowed: must be a number from 0.01 to 1'],
    ],
    ['fastUtilisation: 0.9', ['tierd.yaml:1: fastUtilisation: unknown key: did you mean "fastUtilization"?']],
    ['\nminAccessRate: 0.5', ['tierd.yaml:2: minAccessRate: unknown key: did you mean "promotion.minAccessRate"?']],
    [
      'promotion:\n  maxAccessRate: 1',
      ['tierd.yaml:2: promotion.maxAccessRate: unknown key: did you mean "promotion.minAccessRate"?'],
    ],
    [
      'api:\n  port: 80',
      ['tierd.yaml:2: api.port: unknown key: must be one of the keys socket, readSocket, tcpPort, tokenFile'],
    ],
    [
      '1: 2',
      [
        'tierd.yaml:1: 1: unknown key: must be one of the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun, engine, tiers, ownMemory, waitForDamon, switchOffDamonStat, logLevel, api, stateDirectory',
      ],
    ],
    [
      'logLevel: verbose',
      [
        'tierd.yaml:1: logLevel: "verbose" is not allowed: must be "trace", "debug", "info", "warn", "error", "fatal" or "silent"',
      ],
    ],
    ['dryRun: yes', ['tierd.yaml:1: dryRun: "yes" is not allowed: must be true or false']],
    [
      'fastUtilization: "0.9"',
      ['tierd.yaml:1: fastUtilization: "0.9" is not allowed: must be a number from 0.05 to 0.99'],
    ],
    ['fastUtilization:', ['tierd.yaml:1: fastUtilization: null is not allowed: must be a number from 0.05 to 0.99']],
    [
      'fastUtilization: .inf',
      ['tierd.yaml:1: fastUtilization: Infinity is not allowed: must be a number from 0.05 to 0.99'],
    ],
    [
      'promotion: high',
      [
        'tierd.yaml:1: promotion: "high" is not allowed: must be a mapping with the keys minAccessRate, minAgeSeconds, maxMiBPerSecond',
      ],
    ],
    [
      'cgroups:\n  exclude:\n    - /ok\n    - bad',
      ['tierd.yaml:2: cgroups.exclude[1]: "bad" is not allowed: must be an absolute path of at most 4096 characters'],
    ],
    [
      'tiers: [[0]]',
      [
        'tierd.yaml:1: tiers: [[0]] is not allowed: must be "auto" or at least two lists of node ids, fast to slow, such as [[0, 1], [2, 3]]',
      ],
    ],
    [
      'tiers: [[0], [1, 0]]',
      ['tierd.yaml:1: tiers: [[0],[1,0]] is not allowed: must be lists with each node once (node 0 is there twice)'],
    ],
    ['engine: memtierd', ['tierd.yaml:1: engine: "memtierd" is not allowed: must be "auto", "damos" or "move_pages"']],
    [
      'stateDirectory: state',
      ['tierd.yaml:1: stateDirectory: "state" is not allowed: must be an absolute path of at most 4096 characters'],
    ],
    [
      '- a\n- b',
      [
        'tierd.yaml:1: ["a","b"] is not allowed: must be a mapping with the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun, engine, tiers, ownMemory, waitForDamon, switchOffDamonStat, logLevel, api, stateDirectory',
      ],
    ],
    [
      'monitoring:\n  samplingIntervalMs: 500\n  aggregationIntervalMs: 1000',
      [
        'tierd.yaml:3: monitoring.aggregationIntervalMs: 1000 is not allowed: must be at least 2500 (5 times monitoring.samplingIntervalMs)',
      ],
    ],
    [
      'monitoring:\n  maxSamplingIntervalMs: 10',
      [
        'tierd.yaml:2: monitoring.maxSamplingIntervalMs: 10 is not allowed: must be at least 20 (monitoring.minSamplingIntervalMs)',
      ],
    ],
    [
      'monitoring:\n  minRegions: 100\n  maxRegions: 50',
      ['tierd.yaml:3: monitoring.maxRegions: 50 is not allowed: must be at least 100 (monitoring.minRegions)'],
    ],
    [
      'dryRun: 1\nlogLevel: 1\nfoo: 1',
      [
        'tierd.yaml:1: dryRun: 1 is not allowed: must be true or false',
        'tierd.yaml:2: logLevel: 1 is not allowed: must be "trace", "debug", "info", "warn", "error", "fatal" or "silent"',
        'tierd.yaml:3: foo: unknown key: must be one of the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun, engine, tiers, ownMemory, waitForDamon, switchOffDamonStat, logLevel, api, stateDirectory',
      ],
    ],
    ['dryRun: true\ndryRun: false', ['tierd.yaml:2:1: Map keys must be unique']],
    [
      'dryRun: true\n  fastUtilization: 0.5\n',
      [
        'tierd.yaml:1:9: Nested mappings are not allowed in compact mappings',
        'tierd.yaml:1:9: Implicit keys need to be on a single line',
      ],
    ],
    [
      'tiers: [[0], [1]',
      ['tierd.yaml:1:17: Flow sequence in block collection must be sufficiently indented and end with a ]'],
    ],
    [
      'dryRun: true\n---\ndryRun: false',
      [
        'tierd.yaml:2:1: a second YAML document begins here: keep one, and take out the line "---" or "..." between them',
      ],
    ],
  ])('%j', (text, expected) => {
    expect(problems(text)).toEqual(expected);
  });

  test('refuses a document that aliases blow up', () => {
    const levels = Array.from(
      { length: 9 },
      (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level}, `.repeat(9)}]`,
    );
    const [problem] = problems(['a0: &a0 [x]', ...levels].join('\n'));
    expect(problem).toMatch(/^tierd\.yaml: Excessive alias count/);
  });

  test('any text is a configuration or a ConfigError', () => {
    const word = fc.constantFrom(
      'fastUtilization',
      'promotion',
      'tiers',
      ':',
      '- ',
      '  ',
      '\n',
      '[',
      '{',
      '0.5',
      '&a ',
      '*a',
      '|',
      '"',
      '!x ',
      '? ',
    );
    const texts = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 30 }).map((words) => words.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(() => problems(text)).not.toThrow();
      }),
      { numRuns: 500 },
    );
  });
});

describe('loadConfig', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tierd-config-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  test('reads the named file', async () => {
    const file = join(directory, 'tierd.yaml');
    await writeFile(file, 'dryRun: true\n');
    expect(await loadConfig(file)).toEqual({
      path: file,
      config: { ...DEFAULTS, dryRun: true },
      stated: { dryRun: true },
    });
  });

  test('a named file that is missing, or a folder, is an error', async () => {
    const file = join(directory, 'missing.yaml');
    await expect(loadConfig(file)).rejects.toMatchObject({
      code: 'TIERD_CONFIG',
      message: `${file}: cannot read the configuration: there is no such file`,
    });
    await expect(loadConfig(directory)).rejects.toMatchObject({ code: 'TIERD_CONFIG' });
  });
});

test('the command line goes before the file', () => {
  const config = parseConfig('logLevel: warn\napi: {socket: /a}', 'tierd.yaml');
  expect(withOptions(config, {})).toEqual(config);
  const options = { logLevel: 'debug', socket: '/b', stateDirectory: '/c' } as const;
  expect(withOptions(config, options)).toMatchObject({
    logLevel: 'debug',
    api: { socket: '/b' },
    stateDirectory: '/c',
  });
});
