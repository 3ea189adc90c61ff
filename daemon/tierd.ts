import { watchForEnding } from './ending.ts';
import { leave } from './leave.ts';

/** Commands that a hanging kdamond must not keep from ending. */
const WAIT_FOR_THE_KERNEL: ReadonlySet<string | undefined> = new Set(['run', 'stand-down']);

// Before anything else is loaded: a daemon that is stopped while it starts after a crash still puts DAMON back.
const watch = watchForEnding(process, process.stdout.isTTY);
try {
  const { main } = await import('./main.ts');
  const args = process.argv.slice(2);
  const code = await main(args, watch);
  if (WAIT_FOR_THE_KERNEL.has(args[0])) await leave(code);
  process.exit(code);
} catch (error) {
  // The watch would swallow it in silence.
  console.error(error);
  process.exit(1);
}
