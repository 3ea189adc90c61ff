import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPolicy } from '../../../api/policy-check.ts';
import { compileCheck } from '../../../api/schema/check.ts';
import { parseConfig } from '../../../daemon/config.ts';
import { ConfigSchema } from '../../../daemon/config-schema.ts';
import { ConfigError } from '../../../daemon/errors.ts';
import { restoreSettings } from '../../../daemon/restore-settings.ts';
import { settingsFile } from '../../../daemon/settings-file.ts';
import { receiptFile } from '../../../daemon/state-file.ts';
import { readToken } from '../../../daemon/token-file.ts';
import { serializeReceipt } from '../../../tiering/damon/receipt.ts';
import { kdamond, scheme } from '../damon/desired.ts';

const CONFIGURATIONS = 10_000;
const STATES = 5_000;
const SEED = 42;

let directory: string;
let warnings: string[];
const logger = pino({ base: null }, { write: (line: string) => warnings.push(line) });
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-hostile-'));
});
afterAll(() => rm(directory, { recursive: true }));

const keys = fc.constantFrom(
  'engine',
  'fastUtilization',
  'hotShare',
  'headroomMiB',
  'promotion',
  'demotion',
  'monitoring',
  'minAccessRate',
  'maxMiBPerSecond',
  'minAgeSeconds',
  'samplingIntervalMs',
  'cgroups',
  'include',
  'tiers',
  'api',
  'tcpPort',
  'socket',
  'dryRun',
  'logLevel',
  'policy',
  'version',
  'pausedSince',
  'bootId',
  'kdamonds',
  '__proto__',
  'constructor',
  'toString',
  '',
);
const scalars = fc.oneof(
  fc.constantFrom(
    0,
    1,
    -1,
    0.5,
    0.9,
    1e308,
    2 ** 53,
    null,
    true,
    false,
    'auto',
    'damos',
    'info',
    '/a',
    '/../b',
    '\u0000',
    '0.5',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.double(),
);
const { document } = fc.letrec((tie) => ({
  document: fc.dictionary(
    keys,
    fc.oneof({ depthSize: 'small' }, scalars, tie('document'), fc.array(scalars, { maxLength: 4 })),
    {
      maxKeys: 4,
    },
  ),
}));
const special = fc.constantFrom(
  '',
  '\ufeff',
  '\ufefffastUtilization: 0.9',
  '\u0000',
  '{',
  '}',
  '- - - -',
  'null',
  '[]',
  '"text"',
  '0',
  'a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\ne: &e [*d, *d]\nf: [*e, *e]',
  'a: &a\n  b: *a',
  '*nobody',
  '<<: {fastUtilization: 0.5}',
  '? [1, 2]\n: 3',
  '!!binary "x"',
  '!!js/function "x"',
  'fastUtilization: 0.5\nfastUtilization: 0.6',
  'fastUtilization: 0x1',
  'fastUtilization: .inf',
  'fastUtilization: 1e999',
  '---\na: 1\n---\nb: 2',
  '%YAML 9.9\n---\n{}',
  '\t- a',
  '['.repeat(100),
  '['.repeat(5_000),
  '{"a":'.repeat(5_000),
  'a: '.repeat(1_000),
  `${'  '.repeat(500)}a: 1`,
  `{"version":1,"policy":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
  `{"version":1,"policy":{},"pausedSince":"2026-99-99T99:99:99Z"}`,
  '{"version":1,"policy":{"__proto__":{"fastUtilization":0.1}}}',
  'x'.repeat(100_000),
);

/** What a disk, a hand or an attacker makes of a good file. */
const damaged = (good: string) =>
  fc
    .tuple(
      fc.nat(good.length),
      fc.nat(20),
      fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.constantFrom('', ':', '{', '"', '\n', '-')),
    )
    .map(([at, removed, added]) => `${good.slice(0, at)}${added}${good.slice(at + removed)}`);
const cutOff = (good: string) => fc.nat(good.length).map((length) => good.slice(0, length));

const goodConfiguration = `engine: auto
fastUtilization: 0.9
promotion:
  minAccessRate: 0.3
  maxMiBPerSecond: unlimited
demotion:
  minAgeSeconds: 10
monitoring:
  samplingIntervalMs: 50
cgroups:
  include: [/a, /b]
logLevel: warn
`;
const goodSettings = JSON.stringify({
  version: 1,
  policy: { fastUtilization: 0.7, promotion: { minAccessRate: 0.4 } },
  pausedSince: '2026-11-23T05:00:00.000Z',
});
const goodReceipt = serializeReceipt({
  version: 1,
  bootId: 'boot',
  directories: 1,
  kdamonds: [{ index: 0, pid: 100, desired: kdamond(0, { schemes: [scheme({})] }) }],
  originalTree: { nr_kdamonds: '0' },
});

const texts = (good: string) =>
  fc.oneof(
    { weight: 3, arbitrary: document.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: document.map((value) => JSON.stringify({ version: 1, policy: value })) },
    { weight: 1, arbitrary: special },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
    { weight: 4, arbitrary: damaged(good) },
    { weight: 1, arbitrary: cutOff(good) },
  );

const isComplete = compileCheck(ConfigSchema);

test(`${CONFIGURATIONS} configurations: each is whole and valid, or an error that says what is wrong`, () => {
  const counts = { good: 0, wrong: 0 };
  for (const text of fc.sample(texts(goodConfiguration), { numRuns: CONFIGURATIONS, seed: SEED })) {
    const config = outcome(() => parseConfig(text, 'tierd.yaml'));
    if (config instanceof Error) {
      counts.wrong += 1;
      expect(config, text.slice(0, 300)).toBeInstanceOf(ConfigError);
      expect(config.message).toMatch(/^tierd\.yaml:/);
    } else {
      counts.good += 1;
      expect(isComplete(config), text.slice(0, 300)).toMatchObject({ ok: true });
    }
  }
  expectCleanPrototype();
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(CONFIGURATIONS / 20);
}, 120_000);

test(`${STATES} settings files: what can be used holds, all else is set aside, and there is always a policy`, async () => {
  const counts = { used: 0, setAside: 0 };
  const file = settingsFile(directory, logger);
  for (const text of fc.sample(texts(goodSettings), { numRuns: STATES, seed: SEED })) {
    warnings = [];
    await writeFile(file.path, text);
    const restored = await restoreSettings(file, { headroomMiB: 7 }, {});
    expect(checkPolicy(restored.policy), text.slice(0, 300)).toMatchObject({ ok: true });
    const [isAside, isUsed] = [warnings.length > 0, (await readdir(directory)).includes('settings.json')];
    expect(isAside, text.slice(0, 300)).toBe(!isUsed);
    counts[isAside ? 'setAside' : 'used'] += 1;
    if (isAside) {
      expect(restored.policy.headroomMiB).toBe(7);
      await empty();
    }
  }
  expectCleanPrototype();
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(STATES / 50);
}, 120_000);

test(`${STATES} receipts: one that is whole is read, all else is set aside`, async () => {
  const counts = { used: 0, setAside: 0 };
  const file = receiptFile(directory, logger);
  for (const text of fc.sample(texts(goodReceipt), { numRuns: STATES, seed: SEED })) {
    warnings = [];
    await writeFile(file.path, text);
    const receipt = await file.load();
    expect(warnings, text.slice(0, 300)).toHaveLength(receipt === undefined ? 1 : 0);
    counts[receipt === undefined ? 'setAside' : 'used'] += 1;
    if (receipt === undefined) await empty();
    else expect(() => serializeReceipt(receipt)).not.toThrow();
  }
  expectCleanPrototype();
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(STATES / 50);
}, 120_000);

test('1000 token files: a token, or an error that says how to make one', async () => {
  const path = join(directory, 'token');
  const content = fc.oneof(special, fc.string({ unit: 'binary', maxLength: 80 }), fc.base64String({ minLength: 32 }));
  for (const text of fc.sample(content, { numRuns: 1000, seed: SEED })) {
    await writeFile(path, text, { mode: 0o600 });
    const token = await readToken(path).catch((error: unknown) => error);
    if (typeof token === 'string') expect(token).toMatch(/^\S{32,}$/);
    else expect(token).toBeInstanceOf(ConfigError);
  }
});

function outcome<T>(action: () => T): T | Error {
  try {
    return action();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

async function empty(): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name));
}

function expectCleanPrototype(): void {
  for (const key of ['fastUtilization', 'policy', 'version']) expect(Object.prototype).not.toHaveProperty(key);
}
