import { readFileSync } from 'node:fs';
import type { AppliedRegion } from '../../../tiering/damon/ring-page.ts';

export type RecordedKernel = '6.12' | '7.3';
export type Recording = 'whole' | 'live' | 'lost';

export interface PrintedRegion {
  readonly pid: number;
  readonly tracedAtMs: number;
  readonly nrRegions: number;
  readonly start: number;
  readonly end: number;
  readonly nrAccesses: number;
  readonly age: number;
}

function file(kernel: RecordedKernel, name: string): URL {
  return new URL(`../../fixtures/${kernel}-trace/${name}`, import.meta.url);
}

/** Pages of a CPU as a guest's trace_pipe_raw gave them (test/guest/record-fixture.ts). */
export function recordedPages(kernel: RecordedKernel, recording: Recording, cpu: number): readonly Uint8Array[] {
  const bytes = readFileSync(file(kernel, `${recording}-cpu${cpu}.raw`));
  return Array.from(
    { length: bytes.length / 4096 },
    (_, page) => new Uint8Array(bytes.subarray(page * 4096, (page + 1) * 4096)),
  );
}

const PRINTED =
  /-(\d+) +\[\d+\] \S+ +([\d.]+): (\w+): (?:target_id=0|ctx_idx=0 scheme_idx=(\d+) target_idx=0) nr_regions=(\d+) (\d+)-(\d+): (\d+) (\d+)/;

/** The same events as the kernel itself prints them. */
export function printedEvents(kernel: RecordedKernel, recording: Recording) {
  const aggregated: PrintedRegion[] = [];
  const applied: AppliedRegion[] = [];
  for (const line of readFileSync(file(kernel, `${recording}.txt`), 'utf8').split('\n')) {
    const found = PRINTED.exec(line);
    if (found === null) continue;
    const [, pid, seconds, event, scheme, nrRegions, start, end, nrAccesses, age] = found;
    const region = {
      pid: Number(pid),
      tracedAtMs: Number(seconds) * 1000,
      start: Number(start),
      end: Number(end),
      nrAccesses: Number(nrAccesses),
      age: Number(age),
    };
    if (event === 'damon_aggregated') aggregated.push({ ...region, nrRegions: Number(nrRegions) });
    else applied.push({ ...region, schemeIndex: Number(scheme) });
  }
  return { aggregated, applied };
}

/** A page as words. */
export function wordsOf(page: Uint8Array): Uint32Array {
  return new Uint32Array(page.buffer, page.byteOffset, page.byteLength / 4);
}
