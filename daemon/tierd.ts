import { about } from './about.ts';
import { parseCommandLine, usage } from './command-line.ts';
import { EXIT_OK, exitCodeOf } from './exit-codes.ts';
import { failureLines } from './failure.ts';
import { detectLogFormat } from './log-format.ts';
import { VERSION } from './version.ts';

async function main(args: readonly string[]): Promise<number> {
  const command = parseCommandLine(args);
  switch (command.name) {
    case 'help':
      process.stdout.write(usage());
      return EXIT_OK;
    case 'version':
      process.stdout.write(`tierd ${VERSION}\n`);
      return EXIT_OK;
    case 'about':
      process.stdout.write(await about());
      return EXIT_OK;
    case 'run': {
      // Loaded only here, so that the other commands answer at once.
      const { run } = await import('./run.ts');
      return run(command.options);
    }
  }
}

// The journal takes the priority from the line (sd-daemon(3)); a person does not want to see it.
const prefix = detectLogFormat(process.env.JOURNAL_STREAM, process.stderr.fd) === 'journal' ? '<3>' : '';

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  for (const line of failureLines(error)) process.stderr.write(`${prefix}${line}\n`);
  process.exit(exitCodeOf(error));
}
