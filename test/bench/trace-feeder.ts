import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import type { Region } from '../../tiering/snapshot.ts';
import { endWithUs } from './scratch.ts';
import { aggregationText } from './trace-text.ts';

/** What kdamonds would write into a trace pipe: the same regions again and again, with the time of writing. */
export interface Feed {
  readonly fifo: string;
  readonly intervalMs: number;
  readonly kdamonds: readonly { readonly pid: number; readonly regions: readonly Region[] }[];
}

/** Feeds a FIFO from a process of its own, so that its time is not the engine's. The FIFO must have its reader already. */
export function startFeeder(feed: Feed): ChildProcess {
  const child = endWithUs(fork(import.meta.filename, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }));
  child.send(feed);
  return child;
}

function runFeeder(feed: Feed): void {
  const pipe = openSync(feed.fifo, 'w');
  setInterval(() => {
    for (const [index, { pid, regions }] of feed.kdamonds.entries()) {
      const text = aggregationText(pid, index, Number(process.hrtime.bigint()) / 1e9, regions);
      try {
        for (let rest = Buffer.from(text, 'latin1'); rest.length > 0; ) rest = rest.subarray(writeSync(pipe, rest));
      } catch {
        // The reader has gone.
        process.exit(0);
      }
    }
  }, feed.intervalMs);
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', (feed) => runFeeder(feed as Feed));
  process.once('disconnect', () => process.exit(0));
}
