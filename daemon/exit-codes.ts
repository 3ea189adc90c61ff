/** Everything went as asked. */
export const EXIT_OK = 0;

/** Something that nobody foresaw. */
export const EXIT_UNEXPECTED = 1;

/** Ended as asked, with a kdamond left that did not answer. */
export const EXIT_LEFT_ON = 84;

/** What `tierd doctor` found at worst. */
export const EXIT_FINDINGS = { warning: 2, error: 3 } as const;

export interface ExitStatus {
  readonly codes: readonly number[];
  /** The `code` of each error that ends in it. */
  readonly errors: readonly string[];
  readonly meaning: string;
}

/**
 * Every exit code of the daemon and of the commands, from 64 as in sysexits.h where that has a meaning for it. The reference and
 * the manual page list them. The unit's RestartPreventExitStatus has those that a restart does not mend.
 */
export const EXIT_STATUSES: readonly ExitStatus[] = [
  { codes: [EXIT_OK], errors: [], meaning: 'Ended as asked.' },
  {
    codes: [EXIT_UNEXPECTED],
    errors: [],
    meaning: 'Something that nobody foresaw; its stack is on standard error. Or `tierd probe` could measure no node.',
  },
  {
    codes: [EXIT_FINDINGS.warning, EXIT_FINDINGS.error],
    errors: [],
    meaning: '`tierd doctor` found a warning, or an error.',
  },
  { codes: [64], errors: ['TIERD_USAGE'], meaning: 'Wrong command line.' },
  {
    codes: [65],
    errors: ['TIERD_REQUEST_REFUSED'],
    meaning: 'The daemon refused what a command asked for; the message says why.',
  },
  { codes: [69], errors: ['TIERD_DAEMON_UNREACHABLE'], meaning: 'A command found no daemon on the socket.' },
  {
    codes: [73],
    errors: ['TIERD_STATE_DIRECTORY'],
    meaning: 'The state directory cannot be written. A full disk may be mended: the unit tries again.',
  },
  { codes: [74], errors: ['TIERD_API_SOCKET'], meaning: "The API's socket cannot be opened." },
  {
    codes: [75],
    errors: ['TIERD_NOT_AT_WORK'],
    meaning: '`tierd status --check`: the daemon answers, and is not at work; the message says why.',
  },
  { codes: [77], errors: ['TIERD_DAEMON_FORBIDDEN'], meaning: 'The socket is for root and the group `tierd`.' },
  {
    codes: [78],
    errors: ['TIERD_CONFIG', 'TIERD_TIERS_DUPLICATE_NODE', 'TIERD_TIERS_EMPTY'],
    meaning: 'Wrong configuration.',
  },
  {
    codes: [80],
    errors: ['TIERD_NO_TIERS', 'TIERD_TIERS_UNKNOWN_NODE'],
    meaning: 'No memory tiers here, or not those that were configured. They may come: the unit tries again.',
  },
  {
    codes: [81],
    errors: ['TIERD_DAMON_FOREIGN', 'TIERD_DAMON_EXCLUSIVE'],
    meaning: 'Something else runs DAMON; the message says what, and how to free it.',
  },
  {
    codes: [82],
    errors: [
      'TIERD_NUMA_UNAVAILABLE',
      'TIERD_KERNEL_FORMAT',
      'TIERD_DAMON_UNAVAILABLE',
      'TIERD_DAMON_UNSUPPORTED',
      'TIERD_TRACE_UNAVAILABLE',
      'TIERD_PAGE_MAPS_UNAVAILABLE',
      'TIERD_SYSCALLS_UNAVAILABLE',
    ],
    meaning: 'This kernel lacks what tierd needs.',
  },
  {
    codes: [83],
    errors: ['TIERD_ALREADY_RUNNING'],
    meaning: 'Another tierd answers on the socket, or has the state directory.',
  },
  {
    codes: [EXIT_LEFT_ON],
    errors: [],
    meaning:
      'Ended as asked, but a kdamond did not answer and may go on; the log says which. The next start, or `tierd stand-down`, finds it again.',
  },
];

const EXIT_CODES: ReadonlyMap<string, number> = new Map(
  EXIT_STATUSES.flatMap(({ codes: [code = EXIT_UNEXPECTED], errors }) => errors.map((error) => [error, code] as const)),
);

/** The exit code for an error's `code`. */
export function exitCodeOf(error: unknown): number {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return EXIT_CODES.get(code) ?? EXIT_UNEXPECTED;
}
