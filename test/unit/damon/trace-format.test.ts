import { describe, expect, test } from 'vitest';
import { parseEntryTypes, parsePageLayout, parseRegionEvent } from '../../../tiering/damon/trace-format.ts';
import { recordedLayout } from '../../bench/trace-pages.ts';

const EVENT = `name: damon_aggregated
ID: 12
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
	field:unsigned long target_id;	offset:8;	size:8;	signed:0;
	field:unsigned long start;	offset:16;	size:8;	signed:0;
	field:unsigned long end;	offset:24;	size:8;	signed:0;
	field:unsigned int age;	offset:32;	size:4;	signed:0;
	field:unsigned int nr_accesses;	offset:36;	size:4;	signed:0;
	field:unsigned int nr_regions;	offset:40;	size:4;	signed:0;
`;

describe('the format of trace events', () => {
  test.each(['6.12', '7.3'] as const)('of Linux %s as recorded', (kernel) => {
    const { page, entries, aggregated, applied } = recordedLayout(kernel);
    expect(page).toEqual({ pageBytes: 4096, dataOffset: 16, timestampOffset: 0, commitOffset: 8 });
    expect(entries).toEqual({ padding: 29, timeExtend: 30, timeStamp: 31 });
    expect(aggregated).toMatchObject({ sizeBytes: 48, pid: 1, start: 6, end: 8, scheme: undefined });
    expect(applied).toMatchObject({ sizeBytes: 52, scheme: 3, nrRegions: 12 });
    expect(applied?.id).not.toBe(aggregated.id);
  });

  test('is taken from the file, whatever the order of the fields', () => {
    expect(parseRegionEvent(EVENT, 'damon_aggregated')).toMatchObject({
      id: 12,
      sizeBytes: 44,
      start: 4,
      nrRegions: 10,
    });
  });

  test('of pages of 64 KiB', () => {
    const text =
      '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n' +
      '\tfield: char data;\toffset:16;\tsize:65520;\tsigned:1;\n';
    expect(parsePageLayout(text).pageBytes).toBe(65536);
  });

  test('that tierd cannot read is refused with the file and the field', () => {
    const refused = (text: string) => () => parseRegionEvent(text, 'damon_aggregated');
    const code = { code: 'TIERD_TRACE_UNAVAILABLE' };
    expect(refused(EVENT.replace('size:8;', 'size:4;'))).toThrow(
      /events\/damon\/damon_aggregated\/format: the field target_id/,
    );
    expect(refused(EVENT.replace('nr_accesses', 'accesses'))).toThrow(/nr_accesses is not there/);
    expect(refused(EVENT.replace('ID: 12', ''))).toThrow(expect.objectContaining(code));
    expect(() => parsePageLayout('')).toThrow(expect.objectContaining(code));
    expect(() => parseEntryTypes('type_len : 4 bits')).toThrow(expect.objectContaining(code));
  });
});
