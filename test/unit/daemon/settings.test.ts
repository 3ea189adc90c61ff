import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkPolicy } from '../../../api/policy-check.ts';
import { parseConfig } from '../../../daemon/config.ts';
import { needRestart, Reload } from '../../../daemon/reload.ts';
import { restoreSettings } from '../../../daemon/restore-settings.ts';
import { settingsFile } from '../../../daemon/settings-file.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';

let directory: string;
let log: string[];
const logger = pino({ base: null }, { write: (line: string) => log.push(line) });
beforeEach(async () => {
  log = [];
  directory = await mkdtemp(join(tmpdir(), 'tierd-settings-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('what was set over REST', () => {
  test('holds after a restart, above the file and below the command line', async () => {
    const saved = settingsFile(directory, logger);
    await saved.save({ policy: { fastUtilization: 0.5, dryRun: false }, pausedSince: '2026-11-23T05:00:00.000Z' });
    const restored = await restoreSettings(
      saved,
      { fastUtilization: 0.9, headroomMiB: 7, logLevel: 'warn' },
      { dryRun: true },
    );
    expect(restored.policy).toEqual({ ...DEFAULT_POLICY, fastUtilization: 0.5, headroomMiB: 7, dryRun: true });
    expect(restored.pausedSince).toEqual(new Date('2026-11-23T05:00:00.000Z'));
    expect(JSON.parse(await readFile(saved.path, 'utf8'))).toMatchObject({ version: 1 });
  });

  test('without any, the file holds', async () => {
    const restored = await restoreSettings(settingsFile(directory, logger), { headroomMiB: 7 }, {});
    expect(restored).toEqual({
      layers: { commandLine: {}, rest: {}, file: { headroomMiB: 7 } },
      policy: { ...DEFAULT_POLICY, headroomMiB: 7 },
      mustSave: false,
    });
  });

  test.each([
    ['not JSON', '{"version":1,'],
    ['of a newer tierd', '{"version":2,"policy":{}}'],
    ['something else', '[1,2,3]'],
    ['empty', ''],
    ['with a value that is not allowed', '{"version":1,"policy":{"fastUtilization":9}}'],
    ['with a key that is gone', '{"version":1,"policy":{"fastness":1}}'],
    ['with a pause since no day there is', '{"version":1,"policy":{},"pausedSince":"2026-13-45T99:00:00.000Z"}'],
    ['nested beyond all measure', `{"version":1,"policy":${'{"promotion":'.repeat(50_000)}1${'}'.repeat(50_001)}`],
    ['that contradicts the file', '{"version":1,"policy":{"monitoring":{"minRegions":1000,"maxRegions":100}}}'],
  ])('%s is set aside with a warning, the file holds, and nothing moves', async (_what, text) => {
    await writeFile(join(directory, 'settings.json'), text);
    const restored = await restoreSettings(settingsFile(directory, logger), { headroomMiB: 7 }, {});
    expect(restored.policy).toEqual({ ...DEFAULT_POLICY, headroomMiB: 7 });
    expect(restored).toMatchObject({ pausedSince: expect.any(Date), mustSave: true });
    expect(restored.pauseReason).toMatch(/settings\.json: ./);
    const [aside, ...others] = await readdir(directory);
    expect([aside, others]).toEqual([expect.stringMatching(/^settings\.json\.corrupt-/), []]);
    expect(await readFile(join(directory, aside ?? ''), 'utf8')).toBe(text);
    expect(log.join('')).toContain('was set aside');
  });
});

test('whatever the file holds, the daemon starts, and with an allowed policy', async () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record(
        { version: fc.constantFrom(1, 2, '1'), policy: fc.jsonValue(), pausedSince: fc.string() },
        { requiredKeys: ['version'] },
      )
      .map((value) => JSON.stringify(value)),
    fc
      .record(
        { fastUtilization: fc.jsonValue(), headroomMiB: fc.jsonValue(), cgroups: fc.jsonValue() },
        { requiredKeys: [] },
      )
      .map((policy) => JSON.stringify({ version: 1, policy })),
  );
  await fc.assert(
    fc.asyncProperty(text, async (written) => {
      await writeFile(join(directory, 'settings.json'), written);
      const { policy } = await restoreSettings(settingsFile(directory, logger), { headroomMiB: 7 }, {});
      expect(checkPolicy(policy)).toMatchObject({ ok: true });
    }),
    { numRuns: 300 },
  );
});

test('a pause that could not be saved holds at the next start, as do one that never could', async () => {
  const saved = settingsFile(directory, logger);
  for (const earlier of [undefined, { policy: { dryRun: false } }]) {
    await saved.save(earlier);
    await saved.invalidate();
    const restored = await restoreSettings(saved, {}, {});
    expect(restored).toMatchObject({ pausedSince: expect.any(Date), pauseReason: expect.any(String) });
  }
});

test('a pause outlives keys that no longer fit, and is to be saved again without them', async () => {
  const pausedSince = '2026-11-23T05:00:00.000Z';
  await writeFile(join(directory, 'settings.json'), JSON.stringify({ version: 1, policy: { gone: 1 }, pausedSince }));
  const saved = settingsFile(directory, logger);
  const restored = await restoreSettings(saved, {}, {});
  expect(restored).toMatchObject({ policy: DEFAULT_POLICY, pausedSince: new Date(pausedSince), mustSave: true });
  await saved.save({ policy: {}, pausedSince });
  expect(await restoreSettings(saved, {}, {})).toMatchObject({ pausedSince: new Date(pausedSince), mustSave: false });
});

describe('reading the configuration again', () => {
  async function reloadOf(...texts: readonly string[]) {
    const file = join(directory, 'tierd.yaml');
    const told: string[] = [];
    const layers: unknown[] = [];
    const reload = new Reload({
      file,
      running: parseConfig('', file),
      settings: { setFile: async (layer) => void layers.push(layer) },
      setLogLevel: (level) => void told.push(`log level ${level}`),
      logger,
      notifier: {
        reloading: async () => void told.push('reloading'),
        ready: async (status) => void told.push(status),
        alive: async () => undefined,
        status: async () => undefined,
        stopping: async () => undefined,
      },
    });
    for (const text of texts) {
      await writeFile(file, text);
      await reload.run();
    }
    return { told, layers, log: log.join('') };
  }

  test('applies the policy and the log level, and names what needs a restart', async () => {
    const { told, layers, log: lines } = await reloadOf('fastUtilization: 0.5\nlogLevel: debug\nengine: damos\n');
    expect(layers).toEqual([{ fastUtilization: 0.5 }]);
    expect(told).toEqual(['reloading', 'log level debug', expect.stringMatching(/tierd\.yaml read again$/)]);
    expect(lines).toContain('engine: changed in the file, counts after a restart');
  });

  test('names what waits for a restart each time, and no more once the file is back to what runs', async () => {
    const counted = async (...texts: readonly string[]) =>
      (await reloadOf(...texts)).log.split('counts after a restart').length - 1;
    expect(await counted('engine: damos\n', 'engine: damos\ndryRun: true\n')).toBe(2);
    log = [];
    expect(await counted('engine: damos\n', 'dryRun: true\n')).toBe(1);
  });

  test('changes nothing when the file is wrong, and says where', async () => {
    const { told, layers, log: lines } = await reloadOf('\nfastUtilization: 5\n');
    expect(layers).toEqual([]);
    expect(told).toEqual(['reloading', 'the configuration file is wrong: the old one holds']);
    expect(lines).toMatch(/not reloaded: .*tierd\.yaml:2: fastUtilization: 5 is not allowed/);
  });

  test('a change of the policy or the log level needs no restart', () => {
    const before = parseConfig('', 'a');
    expect(needRestart(before, parseConfig('dryRun: true\nlogLevel: warn\n', 'b'))).toEqual([]);
    expect(needRestart(before, parseConfig('api: {socket: /x}\nwaitForDamon: true\n', 'b'))).toEqual([
      'api',
      'waitForDamon',
    ]);
  });
});
