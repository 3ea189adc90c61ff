import { parseArgs } from 'node:util';

const KERNELS = ['6.12', '7.3'] as const;
export type Kernel = (typeof KERNELS)[number];

/** What is measured in guests, and what on this machine. */
export const GUEST_PARTS = [
  'room',
  'full',
  'many',
  'shift',
  'graded-room',
  'graded-full',
  'graded-mixed',
  'daemon',
  'move-pages',
  'engines-room',
  'engines-full',
  'snapshot-ways',
  'rest',
] as const;
const PARTS = [...GUEST_PARTS, 'native'] as const;
export type Part = (typeof PARTS)[number];

export const USAGE = `Measures tierd on emulated hosts and on this machine; prints tables and JSON.

  npm run bench -- [options]

  --kernel K      ${KERNELS.join(' or ')}; both by default
  --only LIST     of ${PARTS.join(',')}; all by default
  --json FILE     JSON goes to this file; to standard output behind the tables by default

  room, full, many, shift   seconds until the hot memory is fast, and bytes migrated: without tiering, under NUMA balancing
                            mode 2 with demotion, under HMSDK's policy (run by damo), and under tierd, one after the other in the same guest
  graded-room, -full, -mixed
                            share of the accesses that fast memory serves over time, for memory of graded heat; under the same
  daemon                    memory and CPU of the daemon and its kdamonds at rest, snapshots of 1,000 and 10,000 regions
  move-pages                move_pages(2) and reading page maps: the daemon's code beside a C program that does the same
  engines-room, -full       CPU seconds a GiB migrated, of the engines move_pages and damos
  snapshot-ways             a snapshot of 1,000 and 10,000 regions by DAMON's tried_regions files, and from the trace
  rest                      how long every GET takes while memory goes up and down, under each engine
  native                    the daemon's own code on this machine, over a simulated kernel: CPU, snapshots, REST; page maps beside the C program.
                            Fails when the 99th percentile of a GET is above 100 ms while memory moves

Both kernels take about two hours and a half on a machine that does nothing else. Progress goes to standard error. Ctrl-C ends it, prints what there is, and leaves nothing behind.
`;

export interface BenchOptions {
  readonly kernels: readonly Kernel[];
  readonly parts: ReadonlySet<Part>;
  readonly json: string | undefined;
}

/** What the arguments ask for; undefined: help. Throws with a sentence for the user. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kernel: { type: 'string', multiple: true },
      only: { type: 'string', multiple: true },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    kernels: chosen('--kernel', values.kernel, KERNELS),
    parts: new Set(chosen('--only', values.only, PARTS)),
    json: values.json,
  };
}

function chosen<T extends string>(option: string, given: readonly string[] | undefined, known: readonly T[]): T[] {
  const wanted = (given ?? []).flatMap((list) => list.split(','));
  for (const name of wanted) {
    if (!known.some((value) => value === name)) {
      throw new Error(`${option} takes ${known.join(', ')}, separated by commas, not "${name}"`);
    }
  }
  return known.filter((value) => wanted.length === 0 || wanted.includes(value));
}
