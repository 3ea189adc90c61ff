import { about } from './about.ts';
import { parseCommandLine, usage } from './command-line.ts';
import type { EndingWatch } from './ending.ts';
import { EXIT_OK, exitCodeOf } from './exit-codes.ts';
import { failureLines } from './failure.ts';
import { detectLogFormat } from './log-format.ts';
import { VERSION } from './version.ts';

/**
 * Does what the arguments ask for and resolves with the exit code; failures are told on standard error.
 *
 * @param watch reasons to end since the process began
 */
export async function main(args: readonly string[], watch: EndingWatch): Promise<number> {
  try {
    return await execute(args, watch);
  } catch (error) {
    // The journal takes the priority from the line (sd-daemon(3)); a person does not want to see it.
    const prefix = detectLogFormat(process.env.JOURNAL_STREAM, process.stderr.fd) === 'journal' ? '<3>' : '';
    for (const line of failureLines(error)) process.stderr.write(`${prefix}${line}\n`);
    return exitCodeOf(error);
  }
}

async function execute(args: readonly string[], watch: EndingWatch): Promise<number> {
  const command = parseCommandLine(args);
  if (command.name === 'run') {
    // Loaded only here, so that the other commands answer at once.
    const { run } = await import('./run.ts');
    return run(command.options, watch);
  }
  watch.release();
  process.stdout.write(await answer(command.name));
  return EXIT_OK;
}

async function answer(command: 'about' | 'help' | 'version'): Promise<string> {
  switch (command) {
    case 'help':
      return usage();
    case 'version':
      return `tierd ${VERSION}\n`;
    case 'about':
      return about();
  }
}
