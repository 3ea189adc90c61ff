import { fstatSync, openSync } from 'node:fs';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { detectLogFormat } from '../../../daemon/log-format.ts';
import { formatEntry } from '../../../daemon/log-text.ts';
import { errorSerializer, journalDestination } from '../../../daemon/logger.ts';
import { SysFsError } from '../../../numa/sysfs.ts';

function journal(level: 'info' | 'debug' = 'info') {
  const lines: string[] = [];
  const destination = journalDestination((line) => lines.push(line));
  return { lines, logger: pino({ level, base: null, serializers: { err: errorSerializer(level) } }, destination) };
}

describe('journal', () => {
  test('has one readable line for each entry, with its priority', () => {
    const { lines, logger } = journal();
    logger.info({ nodeId: 0, quotaBytes: 1048576, why: '48 MiB hot wait' }, 'node 0: demotion on');
    logger.warn({}, 'waiting for DAMON');
    logger.error({ path: '/sys/x' }, 'cannot');
    logger.fatal({}, 'end');
    logger.debug({}, 'not shown');
    expect(lines).toEqual([
      '<6>node 0: demotion on nodeId=0 quotaBytes=1048576 why="48 MiB hot wait"\n',
      '<4>waiting for DAMON\n',
      '<3>cannot path=/sys/x\n',
      '<2>end\n',
    ]);
  });

  test('shows of an error message and code, and its stack only when debugging', () => {
    const error = new SysFsError('write', '/sys/a', Object.assign(new Error('no'), { code: 'EBUSY' }), 'on');
    const { lines, logger } = journal();
    logger.error({ err: error }, 'tick failed');
    expect(lines).toEqual(['<3>tick failed err="cannot write \\"on\\" to /sys/a: EBUSY" code=TIERD_SYSFS\n']);
    const debugging = journal('debug');
    debugging.logger.error({ err: error }, 'tick failed');
    expect(debugging.lines).toHaveLength(1);
    expect(debugging.lines[0]).toContain('stack="SysFsError: cannot write');
  });

  test('stays on one line whatever is logged', () => {
    const { lines, logger } = journal();
    logger.info({ a: 'x\ny', b: { c: ['\r\n'] }, d: undefined, e: null, f: '' }, 'first\n  second\r\nthird');
    expect(lines).toEqual(['<6>first second third a="x\\ny" b={"c":["\\r\\n"]} e=null f=""\n']);
  });
});

test.each([
  [{ msg: 'a', level: 30, time: 1, pid: 2, hostname: 'h' }, 'a'],
  [{ level: 30, key: 1 }, ' key=1'],
  [{ msg: 'a', err: 'text' }, 'a err=text'],
])('entry %j is %j', (entry, line) => {
  expect(formatEntry(entry)).toBe(line);
});

test('the format is the journal only for the stream that systemd names', () => {
  const fd = openSync('/dev/null', 'w');
  const { dev, ino } = fstatSync(fd);
  expect(detectLogFormat(`${dev}:${ino}`, fd)).toBe('journal');
  expect(detectLogFormat(`${dev}:${ino + 1}`, fd)).toBe('json');
  expect(detectLogFormat(undefined, fd)).toBe('json');
});
