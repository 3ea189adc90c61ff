import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildProgram } from '../guest/c-program.ts';
import type { Guest } from '../guest/guest.ts';
import { runHost } from '../guest/host-process.ts';
import type { Progress } from '../guest/progress.ts';
import { NODE_COMMAND } from '../guest/tierd-in-guest.ts';
import { middleOf } from './middle.ts';
import type { PageWorkResult } from './results.ts';
import { endWithUs } from './scratch.ts';

/** One round of peer.c or of in-guest/page-work.ts. */
interface Round {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly pages: number;
  /** How late Node's event loop was, 99th percentile, in rounds that were looked at for this and not timed. */
  readonly loopDelayMs?: number;
}

/** A process whose pages are worked on. */
interface Held {
  readonly pid: number;
  readonly firstPage: number;
  readonly pages: number;
}

/** Where the work is done: runs a program with arguments to its end. */
interface Place {
  readonly where: string;
  readonly peer: string;
  readonly pageWork: string;
  run(command: string): Promise<string>;
}

/** One work in the words of both programs. */
interface Work {
  readonly work: PageWorkResult['work'];
  readonly layout: PageWorkResult['layout'];
  readonly peer: string;
  readonly tierd: string;
  readonly bytesPerRound: number;
  /** Rounds left out, as Node still compiles then. */
  readonly warmUp: number;
}

const MIB = 2 ** 20;
const PAGE_BYTES = 4096;
const REPEATS = 3;
/** Where CPUs are emulated Node compiles for so many rounds, and now and then later: a daemon reads thousands of times. */
const SCANS = { warmUp: 60, rounds: 40 };
/** The kernel does nearly all of it: little to compile. */
const MOVES = { warmUp: 2, rounds: 4 };
const MOVED_MIB = 128;
const SCANNED_MIB = 1024;
const LAYOUTS = ['in-order', 'scattered'] as const;
const PEER_IN_GUEST = '/usr/local/bin/peer';
/** Whoever asks the API on this machine, not emulated, shall not wait for longer while pages are worked on. */
const MOST_LOOP_DELAY_MS = 20;
const PATIENCE = { timeoutMs: 180_000 };

const peerSource = join(import.meta.dirname, 'peer', 'peer.c');

/** move_pages(2) and reading page maps, by the daemon's code and by C, in a guest with the nodes 0 and 1. */
export async function comparePageWork(guest: Guest, progress: Progress): Promise<readonly PageWorkResult[]> {
  await guest.copyIn(await buildProgram(peerSource), PEER_IN_GUEST);
  const place: Place = {
    where: `guest ${guest.kernel}`,
    peer: PEER_IN_GUEST,
    pageWork: `${NODE_COMMAND} /opt/tierd/page-work.js`,
    run: (command) => guest.check(command, PATIENCE),
  };
  const hold = async (
    args: string,
    work: (held: Held) => Promise<readonly PageWorkResult[]>,
  ): Promise<readonly PageWorkResult[]> => {
    const child = guest.spawn(`exec ${PEER_IN_GUEST} hold ${args}`);
    try {
      return await work(heldOf(await child.waitForLine((line) => line.startsWith('{'), PATIENCE.timeoutMs)));
    } finally {
      await child.stop();
    }
  };
  const results = [...(await hold(`${MOVED_MIB} 0 in-order`, (held) => compareMoves(place, held, progress)))];
  for (const layout of LAYOUTS) {
    results.push(...(await hold(`${SCANNED_MIB} -1 ${layout}`, (held) => compareScans(place, held, layout, progress))));
  }
  return results;
}

/** Reading page maps on this machine; nothing when this process may not see page frames. */
export async function compareNativeScans(progress: Progress): Promise<readonly PageWorkResult[]> {
  if (process.getuid?.() !== 0) {
    progress('native: page frames are for root only, page maps are not compared');
    return [];
  }
  const peer = await buildProgram(peerSource);
  const place: Place = {
    where: 'this machine',
    peer,
    pageWork: `${process.execPath} --import tsx ${join(import.meta.dirname, 'in-guest', 'page-work.ts')}`,
    run: async (command) => {
      const [program = '', ...args] = command.split(' ');
      const { exitCode, stdout, stderr } = await runHost(program, args);
      if (exitCode !== 0) throw new Error(`${command} exited with ${exitCode}: ${stderr}`);
      return stdout;
    },
  };
  const results: PageWorkResult[] = [];
  for (const layout of LAYOUTS) {
    const child = spawn(peer, ['hold', `${SCANNED_MIB}`, '-1', layout], { stdio: ['pipe', 'pipe', 'inherit'] });
    endWithUs(child);
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    results.push(...(await compareScans(place, heldOf(`${line}`), layout, progress)));
    child.stdin.end();
    await once(child, 'exit');
  }
  return results;
}

/** In whatever order pages were touched: where they are after the first move is up to the kernel's free lists. */
async function compareMoves(
  place: Place,
  { pid, firstPage, pages }: Held,
  progress: Progress,
): Promise<readonly PageWorkResult[]> {
  const move = `move ${pid} ${firstPage} ${pages} ${MOVES.warmUp + MOVES.rounds}`;
  // There and back.
  const bytesPerRound = 2 * MOVED_MIB * MIB;
  const work = { layout: 'in-order', peer: move, tierd: move, bytesPerRound, warmUp: MOVES.warmUp } as const;
  return [await compare(place, { ...work, work: 'move' }, progress)];
}

async function compareScans(
  place: Place,
  { pid }: Held,
  layout: PageWorkResult['layout'],
  progress: Progress,
): Promise<readonly PageWorkResult[]> {
  const same = { layout, bytesPerRound: SCANNED_MIB * MIB, warmUp: SCANS.warmUp };
  const results: PageWorkResult[] = [];
  for (const [work, verb] of [
    ['scan', 'scan'],
    ['scan again', 'rescan'],
  ] as const) {
    const command = `${verb} ${pid} ${SCANS.warmUp + SCANS.rounds}`;
    results.push(await compare(place, { ...same, work, peer: command, tierd: command }, progress));
  }
  return results;
}

/** In turns, each as often first as the other. */
async function compare(place: Place, work: Work, progress: Progress): Promise<PageWorkResult> {
  const rounds: Record<'tierd' | 'peer', Round[]> = { tierd: [], peer: [] };
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const order = ['tierd', 'peer'] as const;
    for (const who of repeat % 2 === 0 ? order : order.toReversed()) {
      const program = who === 'tierd' ? place.pageWork : place.peer;
      const found = roundsOf(await place.run(`${program} ${work[who]}`)).slice(work.warmUp);
      assertDone(found, work, who);
      rounds[who].push(...found);
    }
  }
  const result = pageWorkResult(place.where, work, rounds.tierd, rounds.peer);
  progress(
    `${place.where}: ${work.work}, ${work.layout}: ${(result.peerSeconds / result.tierdSeconds).toFixed(2)} of C, ` +
      `${(result.mib / result.tierdSeconds).toFixed(0)} MiB/s, event loop late by ${result.tierdLoopDelayMs.toFixed(1)} ms (p99)`,
  );
  return result;
}

/** Not all pages always move; what did much less has not been measured. */
function assertDone(rounds: readonly Round[], { work, bytesPerRound }: Work, who: string): void {
  const least = Math.min(...rounds.map(({ pages }) => pages)) * PAGE_BYTES;
  if (least < bytesPerRound * 0.95) {
    throw new Error(`${work} by ${who}: ${least} of ${bytesPerRound} bytes in a round`);
  }
}

/** Which work held the event loop for too long, a line each. */
export function heldLoop(results: readonly PageWorkResult[]): readonly string[] {
  return results
    .filter(({ tierdLoopDelayMs }) => tierdLoopDelayMs > MOST_LOOP_DELAY_MS)
    .map(
      ({ work, layout, where, tierdLoopDelayMs }) =>
        `${work}, ${layout}, ${where}: the event loop was late by ${tierdLoopDelayMs.toFixed(1)} ms (p99), ${MOST_LOOP_DELAY_MS} ms at most`,
    );
}

/** Medians over rounds: of tierd's those in which nobody looked at its event loop, and for that the others. */
export function pageWorkResult(
  where: string,
  { work, layout, bytesPerRound }: Pick<Work, 'work' | 'layout' | 'bytesPerRound'>,
  tierd: readonly Round[],
  peer: readonly Round[],
): PageWorkResult {
  const timed = tierd.filter(({ loopDelayMs }) => loopDelayMs === undefined);
  return {
    where,
    work,
    layout,
    mib: bytesPerRound / MIB,
    rounds: timed.length,
    tierdSeconds: middleOf(timed.map(({ seconds }) => seconds)),
    peerSeconds: middleOf(peer.map(({ seconds }) => seconds)),
    tierdCpuSeconds: middleOf(timed.map(({ cpuSeconds }) => cpuSeconds)),
    peerCpuSeconds: middleOf(peer.map(({ cpuSeconds }) => cpuSeconds)),
    tierdLoopDelayMs: middleOf(tierd.flatMap(({ loopDelayMs }) => (loopDelayMs === undefined ? [] : [loopDelayMs]))),
  };
}

/** The line of JSON that either program prints. */
export function roundsOf(text: string): readonly Round[] {
  const rows: unknown = JSON.parse(text);
  if (!Array.isArray(rows)) throw new Error(`not a list of rounds: ${text}`);
  return rows.map((row: Record<string, unknown>) => ({
    seconds: Number(row.seconds),
    cpuSeconds: Number(row.cpuSeconds),
    pages: Number(row.pages),
    ...(row.loopDelayMs !== undefined && { loopDelayMs: Number(row.loopDelayMs) }),
  }));
}

function heldOf(line: string): Held {
  const held: Record<string, unknown> = JSON.parse(line);
  return { pid: Number(held.pid), firstPage: Number(held.firstPage), pages: Number(held.pages) };
}
