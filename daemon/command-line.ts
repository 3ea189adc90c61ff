import { Argument, CommanderError, Command as Program } from 'commander';
import { parseMeasureArguments } from '../numa/probe/measure-protocol.ts';
import { addClientCommands, GROUP_NOUNS } from './commands/client-commands.ts';
import type { Choose, Command, DoctorOptions, ProbeOptions, Shell, StandDownOptions } from './commands/command.ts';
import { SHELLS } from './commands/command.ts';
import { addRunCommand } from './commands/run-command.ts';
import { UsageError } from './errors.ts';
import { MEASURE_NODE } from './own-command.ts';

/** What the arguments ask for. Throws UsageError. */
export function parseCommandLine(args: readonly string[]): Command {
  let chosen: Command | undefined;
  let printed = '';
  const program = programOf((command) => {
    chosen = command;
  });
  // Sub-commands take this over only when they are made after it: for those that are there it is set one by one.
  for (const command of commandsOf(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => {
        printed += text;
      },
      writeErr: () => undefined,
    });
  }
  if (args.length === 0) throw new UsageError('name a command');
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.version') return { name: 'version' };
    if (error.exitCode === 0) return { name: 'help', text: printed };
    if (error.code === 'commander.help') throw new UsageError(namesAction(args[0] ?? ''));
    throw new UsageError(
      error.message
        .replace(/^error: /, '')
        .replace(/\n/, ' ')
        .replace(/\.$/, ''),
    );
  }
  if (chosen === undefined) throw new UsageError('name a command');
  return chosen;
}

/** All commands with their options and help; the one that is parsed calls `choose`. */
export function programOf(choose: Choose = () => undefined): Program {
  const program = new Program('tierd')
    .description('Tiered-memory (CXL) management daemon: keeps hot memory fast.')
    .version('', '-V, --version', 'the version')
    .helpOption('-h, --help', 'this text')
    .helpCommand(false)
    .allowExcessArguments(false)
    .configureHelp({ helpWidth: 100 });
  addRunCommand(program, choose);
  addClientCommands(program, choose);
  program
    .command('probe')
    .summary('measure latency and bandwidth of every memory node, some 2 s each')
    .description('Measure latency and bandwidth of every memory node, some 2 s each. Needs no daemon.')
    .option('--json', 'print the figures as JSON')
    .action((options: ProbeOptions) => choose({ name: 'probe', options }));
  program
    .command('doctor')
    .summary('what is wrong with this host, or might be, and the way out')
    .description('Look for what is wrong with this host, or might be. Needs no daemon; as root it sees more.')
    .option('--json', 'print the findings as JSON')
    .option('--socket <path>', "the daemon's socket, to know its kdamonds (default: what the configuration file says)")
    .option(
      '--state-directory <dir>',
      'where the daemon remembers what it did, to know its kdamonds (default: what the configuration file says)',
    )
    .action((options: DoctorOptions) => choose({ name: 'doctor', options }));
  program
    .command('stand-down')
    .summary('switch off what a daemon that was killed left moving')
    .description(
      'Switch off what a daemon that was killed left moving in DAMON; the next start goes on with it. The unit runs it after every end but an orderly one. Needs root and no daemon.',
    )
    .option(
      '--state-directory <dir>',
      'where the daemon remembered what it did (default: what the configuration file says)',
    )
    .action((options: StandDownOptions) => choose({ name: 'stand-down', options }));
  program
    .command('about')
    .summary('print what a bug report needs to know of this machine, as JSON')
    .action(() => choose({ name: 'about' }));
  program
    .command('completion')
    .summary('print what completes these commands in a shell')
    .description('Print what completes these commands in a shell, such as: source <(tierd completion bash)')
    .addArgument(new Argument('<shell>', 'the shell').choices([...SHELLS]))
    .action((shell: Shell) => choose({ name: 'completion', shell }));
  program
    .command(`${MEASURE_NODE} <args...>`, { hidden: true })
    .action((args: string[]) => choose({ name: MEASURE_NODE, request: parseMeasureArguments(args) }));
  return program;
}

/** What is missing after a command that has only commands below it. */
function namesAction(group: string): string {
  return `name what to do with ${GROUP_NOUNS.get(group) ?? group}: get or set`;
}

/** A command and all below it. */
function commandsOf(command: Program): readonly Program[] {
  return [command, ...command.commands.flatMap(commandsOf)];
}
