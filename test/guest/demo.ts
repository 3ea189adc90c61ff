import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, styleText } from 'node:util';
import { bundleInto } from '../../scripts/bundle.ts';
import { ApiClient } from './api-client.ts';
import type { Paint } from './demo/live-table.ts';
import { liveLine, liveTitles } from './demo/live-table.ts';
import type { Sample } from './demo/sample.ts';
import { takeSample } from './demo/sample.ts';
import { summary, tryLines, usage } from './demo/texts.ts';
import { guestSocket, startTierdService } from './demo/tierd-service.ts';
import { messageOf } from './errors.ts';
import type { Guest } from './guest.ts';
import { bootGuest } from './guest.ts';
import { step } from './progress.ts';
import type { Workload } from './workload/workload.ts';
import { startWorkload } from './workload/workload.ts';

const fastNode = 0;
const slowNode = 1;
/** Little, because QEMU emulates every single access to a CXL expander: copying from and to it goes at a few MB/s. */
const hotMib = 64;
/** Room enough for the hot memory beside it; a lower fastUtilization makes it go. */
const coldInDramMib = 350;
const coldInCxlMib = 32;

/** Placing memory takes seconds, or minutes on a machine that is busy otherwise. */
const patienceMs = 600_000;

/** So long tierd only watches: to see what is the matter before it is mended. */
const watchSeconds = 8;
const lineEverySeconds = 2;
const titlesEveryLines = 20;

const colourful = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const paint: Paint = (format, text) => (colourful ? styleText(format, text) : text);

interface Options {
  readonly kernel: string;
  readonly seconds: number;
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      kernel: { type: 'string', default: '7.3' },
      seconds: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const seconds = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds);
  if (!(seconds > 0)) throw new Error(`--seconds ${values.seconds} is no number of seconds`);
  return { kernel: values.kernel, seconds };
}

function say(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

function note(text: string): void {
  say(`  ${paint('yellow', `-- ${text}`)}`);
}

const progress = (text: string): void => say(paint('dim', text));

async function main(options: Options, ending: AbortSignal): Promise<void> {
  const guest = await unlessEnded(ending, bootGuest({ kernel: options.kernel, topology: 'cxl', onProgress: progress }));
  try {
    const { socketPath, workload } = await unlessEnded(ending, prepare(guest));
    introduce(guest, socketPath);
    await watch({ guest, workload, socketPath, seconds: options.seconds, ending });
  } finally {
    await guest.shutdown();
  }
}

async function prepare(guest: Guest): Promise<{ readonly socketPath: string; readonly workload: Workload }> {
  // First the memory: it is placed in seconds while nothing watches.
  const workload = await step(progress, 'placing the hot and cold memory of a program', () =>
    startWorkload(
      guest,
      {
        hot: [{ mib: hotMib, node: slowNode }],
        cold: [
          { mib: coldInDramMib, node: fastNode },
          { mib: coldInCxlMib, node: slowNode },
        ],
      },
      patienceMs,
    ),
  );
  await step(progress, 'building tierd and installing it as a systemd service', async () => {
    // With the guest's own files, which go when it goes.
    const build = join(guest.directory, 'build');
    await bundleInto(build);
    await startTierdService(guest, build, 'dryRun: true\n');
  });
  const { socketPath } = await guest.forwardSocket(guestSocket);
  return { socketPath, workload };
}

function introduce(guest: Guest, socketPath: string): void {
  const enterScript = join(guest.directory, 'enter');
  writeFileSync(enterScript, `exec ${guest.sshCommandLine} "$@"\n`);
  say(
    '',
    paint('bold', `tierd runs on an emulated host: Linux ${guest.release}, DRAM (node 0), CXL memory (node 1)`),
    '',
    `A program touches ${hotMib} MiB all the time, but they lie in slow CXL memory, while ${coldInDramMib} MiB that nobody`,
    'touches lie in DRAM. Nothing in this kernel would change that by itself: tierd does.',
    'The emulated expander is far slower than a real one: it copies a few MB a second.',
    '',
    ...tryLines(socketPath, enterScript, paint),
    '',
  );
}

interface Watch {
  readonly guest: Guest;
  readonly workload: Workload;
  readonly socketPath: string;
  readonly seconds: number;
  readonly ending: AbortSignal;
}

/** Prints live lines until the time is up or somebody has seen enough, then what came of it. */
async function watch({ guest, workload, socketPath, seconds, ending }: Watch): Promise<void> {
  const api = new ApiClient(socketPath);
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  let first: Sample | undefined;
  let last: Sample | undefined;
  let allowedAt: number | undefined;
  let allFastAfter: number | undefined;

  note('tierd only watches so far (dryRun: true)');
  for (let lines = 0; !ending.aborted && elapsed() < seconds; ) {
    if (allowedAt === undefined && elapsed() >= watchSeconds) {
      await api.patchPolicy({ dryRun: false });
      allowedAt = elapsed();
      note('PATCH /v1/policy {"dryRun": false}: from here on tierd moves memory');
    }
    const sample = await look(workload, api, elapsed);
    if (sample !== undefined) {
      if (lines % titlesEveryLines === 0) say(...liveTitles(paint));
      lines += 1;
      say(liveLine(sample, last, paint));
      first ??= sample;
      last = sample;
      if (allowedAt !== undefined && allFastAfter === undefined && sample.hotShare >= 0.95) {
        allFastAfter = sample.seconds - allowedAt;
        note(`95 % of the hot memory is in DRAM, ${allFastAfter.toFixed(0)} s later`);
      }
    }
    if (!guest.running) throw new Error('the guest ended by itself');
    await sleep(Math.min(lineEverySeconds, Math.max(0, seconds - elapsed())) * 1000, undefined, {
      signal: ending,
    }).catch(() => undefined);
  }
  if (first !== undefined && last !== undefined) say('', ...summary(first, last, allFastAfter, paint));
}

/** A busy guest may keep an answer waiting: the next line tells it then. */
async function look(workload: Workload, api: ApiClient, elapsed: () => number): Promise<Sample | undefined> {
  const status = await api.status().catch(() => undefined);
  return status === undefined ? undefined : takeSample(elapsed(), status, workload.latest);
}

/** Somebody wanted the demo to end before there was anything to see. */
class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

async function unlessEnded<T>(ending: AbortSignal, work: Promise<T>): Promise<T> {
  const ended = new Promise<never>((_resolve, reject) => {
    const interrupt = (): void => reject(new InterruptedError('interrupted'));
    if (ending.aborted) interrupt();
    else ending.addEventListener('abort', interrupt, { once: true });
  });
  return Promise.race([work, ended]);
}

function endingOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  return controller.signal;
}

try {
  const options = parseOptions();
  if (options === undefined) process.stdout.write(usage);
  else await main(options, endingOnSignals());
  process.exit(0);
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  // A guest that is still booting ends with this process: nothing need be waited for.
  process.exit(error instanceof InterruptedError ? 130 : 1);
}
