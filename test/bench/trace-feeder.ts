import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import type { Region } from '../../tiering/snapshot.ts';
import { endWithUs } from './scratch.ts';
import { aggregationPages, recordedLayout } from './trace-pages.ts';

/** What kdamonds would write into the ring buffer of a CPU: the same regions again and again, with the time of writing. */
export interface Feed {
  readonly pagesPath: string;
  readonly intervalMs: number;
  readonly kdamonds: readonly { readonly pid: number; readonly regions: readonly Region[] }[];
}

/** Appends to a file from a process of its own, so that its time is not the engine's. */
export function startFeeder(feed: Feed): ChildProcess {
  const child = endWithUs(fork(import.meta.filename, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }));
  child.send(feed);
  return child;
}

function runFeeder(feed: Feed): void {
  const pages = openSync(feed.pagesPath, 'a');
  const layout = recordedLayout('7.3');
  setInterval(() => {
    for (const { pid, regions } of feed.kdamonds) {
      for (const page of aggregationPages(layout, pid, Number(process.hrtime.bigint()), regions))
        writeSync(pages, page);
    }
  }, feed.intervalMs);
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', (feed) => runFeeder(feed as Feed));
  process.once('disconnect', () => process.exit(0));
}
