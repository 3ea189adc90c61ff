import { ConfigError } from './errors.ts';

/**
 * The lines that say why tierd ends: what is wrong, with its code. Only an error that nobody foresaw shows where it was
 * thrown.
 */
export function failureLines(error: unknown): string[] {
  if (error instanceof ConfigError) return error.problems.map((problem) => `tierd: ${problem} [${error.code}]`);
  if (!(error instanceof Error)) return [`tierd: ${String(error)}`];
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('TIERD_')) {
    const hint = isForbidden(error) ? '; tierd needs root' : '';
    return [`tierd: ${error.message}${hint} [${error.code}]`];
  }
  return `tierd: unexpected error: ${error.stack ?? error.message}`.split('\n');
}

/** Whether the kernel refused for want of privileges. */
function isForbidden(error: Error): boolean {
  const { cause } = error;
  return cause instanceof Error && 'code' in cause && (cause.code === 'EACCES' || cause.code === 'EPERM');
}
