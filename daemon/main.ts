import { measureAnswer } from '../numa/probe/measure-protocol.ts';
import { about } from './about.ts';
import { parseCommandLine } from './command-line.ts';
import type { EndingWatch } from './ending.ts';
import { EXIT_OK, exitCodeOf } from './exit-codes.ts';
import { failureLines } from './failure.ts';
import { detectLogFormat } from './log-format.ts';
import { MEASURE_NODE } from './own-command.ts';
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
  if (command.name !== 'run') watch.release();
  // What a command needs is loaded only here, so that the others answer at once.
  switch (command.name) {
    case 'run': {
      const { run } = await import('./run.ts');
      return run(command.options, watch);
    }
    case 'probe': {
      const { probe } = await import('./probe.ts');
      return probe(command.options, process);
    }
    case MEASURE_NODE: {
      const { measureNode } = await import('../numa/probe/measure.ts');
      return say(await measureAnswer(measureNode(command.request)));
    }
    case 'doctor': {
      const { doctor } = await import('./doctor.ts');
      return doctor(command.options, (text) => process.stdout.write(text));
    }
    case 'stand-down': {
      const { standDownLeftovers } = await import('./stand-down.ts');
      return standDownLeftovers(command.options, (text) => process.stdout.write(text));
    }
    case 'ask': {
      const { askDaemon } = await import('./client/client.ts');
      return askDaemon(command.request, {
        write: (text) => process.stdout.write(text),
        warn: (text) => process.stderr.write(text),
        isTerminal: process.stdout.isTTY,
      });
    }
    case 'completion': {
      const { completion } = await import('./completion.ts');
      return say(completion(command.shell));
    }
    case 'about':
      return say(await about());
    case 'help':
      return say(command.text);
    case 'version':
      return say(`tierd ${VERSION}\n`);
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return EXIT_OK;
}
