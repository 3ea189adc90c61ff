/** Everything went as asked. */
export const EXIT_OK = 0;

/** Something that nobody foresaw. */
export const EXIT_UNEXPECTED = 1;

/** What `tierd doctor` found at worst. */
export const EXIT_FINDINGS = { warning: 2, error: 3 } as const;

/**
 * The exit code of every error that ends the daemon or a command, from 64 as in sysexits.h where that has a meaning for it. The unit's
 * RestartPreventExitStatus lists those that a restart does not mend.
 */
const EXIT_CODES: ReadonlyMap<string, number> = new Map([
  ['TIERD_USAGE', 64],
  ['TIERD_REQUEST_REFUSED', 65],
  ['TIERD_DAEMON_UNREACHABLE', 69],
  ['TIERD_STATE_DIRECTORY', 73],
  ['TIERD_API_SOCKET', 74],
  ['TIERD_DAEMON_FORBIDDEN', 77],
  ['TIERD_CONFIG', 78],
  ['TIERD_TIERS_DUPLICATE_NODE', 78],
  ['TIERD_TIERS_EMPTY', 78],
  ['TIERD_NO_TIERS', 80],
  ['TIERD_TIERS_UNKNOWN_NODE', 80],
  ['TIERD_DAMON_FOREIGN', 81],
  ['TIERD_DAMON_EXCLUSIVE', 81],
  ['TIERD_DAMON_UNAVAILABLE', 82],
  ['TIERD_DAMON_UNSUPPORTED', 82],
  ['TIERD_TRACE_UNAVAILABLE', 82],
  ['TIERD_PAGE_MAPS_UNAVAILABLE', 82],
  ['TIERD_SYSCALLS_UNAVAILABLE', 82],
  ['TIERD_ALREADY_RUNNING', 83],
]);

/** The exit code for an error's `code`. */
export function exitCodeOf(error: unknown): number {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return EXIT_CODES.get(code) ?? EXIT_UNEXPECTED;
}
