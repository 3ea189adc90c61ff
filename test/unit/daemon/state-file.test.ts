import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStateDirectory, receiptFile, StateFile } from '../../../daemon/state-file.ts';

let directory: string;
const warnings: object[] = [];
const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields: object) => warnings.push(fields),
  error: () => undefined,
};
const format = {
  serialize: (value: number) => JSON.stringify({ value }),
  parse: (text: string): number => {
    const parsed = JSON.parse(text);
    if (typeof parsed.value !== 'number') throw new Error('not a number');
    return parsed.value;
  },
};

beforeEach(async () => {
  warnings.length = 0;
  directory = await mkdtemp(join(tmpdir(), 'tierd-state-'));
});
afterEach(() => rm(directory, { recursive: true }));

function stateFile() {
  return new StateFile(join(directory, 'state.json'), format, logger, () => new Date('2026-11-23T06:07:08.009Z'));
}

describe('StateFile', () => {
  test('has nothing, then what was saved, then nothing', async () => {
    const file = stateFile();
    expect(await file.load()).toBeUndefined();
    await file.save(1);
    await file.save(2);
    expect(await file.load()).toBe(2);
    expect(await readdir(directory)).toEqual(['state.json']);
    await file.save(undefined);
    await file.save(undefined);
    expect(await readdir(directory)).toEqual([]);
  });

  test('is for its owner only, whatever an interrupted write left', async () => {
    await writeFile(join(directory, 'state.json.new'), 'half', { mode: 0o666 });
    const file = stateFile();
    await file.save(3);
    expect((await stat(file.path)).mode & 0o777).toBe(0o600);
    expect(await file.load()).toBe(3);
  });

  test.each(['', '{"value":', '{"value":"x"}', '\0\0\0\0'])('%j is set aside with a warning', async (text) => {
    const file = stateFile();
    await writeFile(file.path, text);
    expect(await file.load()).toBeUndefined();
    const aside = 'state.json.corrupt-2026-11-23T060708.009Z';
    expect(await readdir(directory)).toEqual([aside]);
    expect(await readFile(join(directory, aside), 'utf8')).toBe(text);
    expect(warnings).toMatchObject([{ file: file.path, movedTo: join(directory, aside) }]);
  });

  test('that cannot be read or written is an error that says where', async () => {
    const file = stateFile();
    await mkdir(file.path);
    await expect(file.load()).rejects.toMatchObject({ code: 'TIERD_STATE_DIRECTORY' });
    await expect(file.save(1)).rejects.toThrow(`cannot keep state in ${directory}: `);
  });

  test('of DAMON sets a foreign receipt aside', async () => {
    const file = receiptFile(directory, logger);
    await writeFile(file.path, '{"version":99}');
    expect(await file.load()).toBeUndefined();
    expect(await readdir(directory)).toEqual([expect.stringMatching(/^damon-receipt\.json\.corrupt-/)]);
  });
});

describe('openStateDirectory', () => {
  test('makes it, closed to others', async () => {
    const path = join(directory, 'a', 'b');
    await openStateDirectory(path);
    expect((await stat(path)).mode & 0o007).toBe(0);
    await openStateDirectory(path);
  });

  test('fails where a file is', async () => {
    const path = join(directory, 'file');
    await writeFile(path, '');
    await expect(openStateDirectory(path)).rejects.toMatchObject({ code: 'TIERD_STATE_DIRECTORY' });
  });

  // Where even root cannot write.
  test('fails when it cannot be made', async () => {
    await expect(openStateDirectory('/sys/tierd')).rejects.toThrow(/^cannot keep state in \/sys\/tierd: /);
  });
});
