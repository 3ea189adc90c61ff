import { setTimeout as sleep } from 'node:timers/promises';
import Type from 'typebox';
import { OPERATIONS } from '../../api/openapi/operations.ts';
import { compileCheck } from '../../api/schema/check.ts';
import { ENGINE_NAMES } from '../../tiering/engine.ts';
import { counters } from '../guest/guest-memory.ts';
import type { Progress } from '../guest/progress.ts';
import { scenarios } from '../guest/scenarios.ts';
import type { Stage } from '../guest/stage.ts';
import type { RestLatencyResult } from './results.ts';

const SECONDS = 60;
const EVERY_MS = 50;
/** Between a target that sends most memory down, and one that brings it back. */
const TARGETS = [0.2, 0.95];
const TARGET_FOR_MS = 8_000;
/** What a client may count on, on hardware. */
export const P99_LIMIT_MS = 100;
const LEFT_OUT = ['/v1/events', '/v1/migrations/:id'];

/** In place of a path. */
const ALL = 'all';

const isTimes = compileCheck(Type.Record(Type.String(), Type.Array(Type.Number())));

/** How long every GET takes, asked inside the guest in turns while memory goes up and down. */
export async function timeAnswers(stage: Stage, progress: Progress): Promise<readonly RestLatencyResult[]> {
  const { guest } = stage;
  const paths = askedPaths();
  const results: RestLatencyResult[] = [];
  for (const engine of ENGINE_NAMES) {
    try {
      await stage.place(scenarios.target);
      const tierd = await stage.startTierd({ engine });
      progress(
        `${guest.kernel} ${engine}: ${paths.length} resources asked in turns for ${SECONDS} s while memory moves`,
      );
      const before = await counters(guest);
      const asking = new AbortController();
      const moving = (async () => {
        for (let turn = 0; !asking.signal.aborted; turn++) {
          await tierd.api.patchPolicy({ fastUtilization: TARGETS[turn % TARGETS.length] });
          await sleep(TARGET_FOR_MS, undefined, { signal: asking.signal }).catch(() => undefined);
        }
      })();
      const said = await guest
        .check(`node /opt/tierd/rest-work.js /run/tierd/tierd.sock ${SECONDS} ${EVERY_MS} ${paths.join(' ')}`, {
          timeoutMs: (SECONDS + 120) * 1000,
        })
        .finally(() => asking.abort());
      await moving;
      const migratedBytes = (await counters(guest)).migratedBytes - before.migratedBytes;
      results.push(...latencyResults(said, { kernel: guest.kernel, engine, migratedBytes, seconds: SECONDS }));
    } finally {
      if (guest.running) await stage.clear();
    }
  }
  return results;
}

/** Every GET but those that follow for ever, or are about one of something. */
export function askedPaths(): readonly string[] {
  return [...OPERATIONS.keys()]
    .filter((name) => name.startsWith('GET '))
    .map((name) => name.slice('GET '.length))
    .filter((path) => !LEFT_OUT.includes(path));
}

/** What in-guest/rest-work.ts printed, a result for each resource and one for all. */
export function latencyResults(
  said: string,
  where: Pick<RestLatencyResult, 'kernel' | 'engine' | 'migratedBytes' | 'seconds'>,
): readonly RestLatencyResult[] {
  const times = isTimes(JSON.parse(said));
  if (!times.ok) throw new Error('rest-work printed something else than times');
  const rows = Object.entries(times.value);
  const all = [ALL, rows.flatMap(([, each]) => each)] as const;
  return [...rows, all].map(([path, took]) => ({ ...where, path, ...distribution(took) }));
}

/** Of each resource that is slower than a client may count on: a sentence. */
export function tooSlow(results: readonly RestLatencyResult[]): readonly string[] {
  return results
    .filter(({ path, p99Ms }) => path !== ALL && !(p99Ms <= P99_LIMIT_MS))
    .map(
      ({ path, p99Ms }) => `GET ${path}: its 99th percentile is ${p99Ms.toFixed(1)} ms, more than ${P99_LIMIT_MS} ms`,
    );
}

/** Median, 99th percentile and maximum, in the unit of the values. */
export function distribution(
  values: readonly number[],
): Pick<RestLatencyResult, 'requests' | 'medianMs' | 'p99Ms' | 'maxMs'> {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { requests: sorted.length, medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
