import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ProbeError } from './errors.ts';
import { measureArguments, parseMeasureAnswer } from './measure-protocol.ts';
import type { Measure } from './measurement.ts';

/** A program that takes `measureArguments` and answers on its standard output as `measureAnswer` does. */
export interface MeasureCommand {
  readonly file: string;
  readonly args: readonly string[];
}

/** Two seconds are usual; emulated machines take ten times as long. */
const TIMEOUT_MS = 60_000;

const runFile = promisify(execFile);

/**
 * Measures in a process of its own: the event loop goes on, the buffer and the binding to CPUs end with it, and should the
 * kernel kill it for want of memory, then only it.
 */
export function measureInChild({ file, args }: MeasureCommand): Measure {
  return async (request, signal) => {
    const options = { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', ...(signal && { signal }) } as const;
    const { stdout } = await runFile(file, [...args, ...measureArguments(request)], options).catch((error: unknown) => {
      throw signal?.aborted ? error : new ProbeError(request.nodeId, failureReason(error), error);
    });
    return parseMeasureAnswer(stdout, request.nodeId);
  };
}

function failureReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('killed' in error && error.killed === true) return `it took longer than ${TIMEOUT_MS / 1000} s`;
  if ('signal' in error && error.signal === 'SIGKILL') return 'the kernel killed the process that measured';
  const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim().split('\n').at(-1) : '';
  return `the process that measured failed: ${said || error.message}`;
}
