import { watchForEnding } from './ending.ts';

// Before anything else is loaded: a daemon that is stopped while it starts after a crash still puts DAMON back.
const watch = watchForEnding(process, process.stdout.isTTY);
try {
  const { main } = await import('./main.ts');
  process.exit(await main(process.argv.slice(2), watch));
} catch (error) {
  // The watch would swallow it in silence.
  console.error(error);
  process.exit(1);
}
