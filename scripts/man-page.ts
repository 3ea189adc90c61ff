import type { Command } from 'commander';
import { describeAllowed } from '../api/schema/allowed.ts';
import { defaultOf } from '../api/schema/defaults.ts';
import { formatKeyPath } from '../api/schema/json-schema.ts';
import { programOf } from '../daemon/command-line.ts';
import { ConfigSchema } from '../daemon/config-schema.ts';
import { EXIT_STATUSES } from '../daemon/exit-codes.ts';
import { commandsBelow, usageOf } from './commands.ts';
import { leaves } from './config-table.ts';
import { sentence } from './reference/page.ts';
import { definition, example, heading, paragraph, quoted, subheading } from './roff.ts';

const DESCRIPTION = [
  'tierd manages memory tiers on hosts with DRAM and CXL memory expanders, which are memory nodes without CPUs, two to three times slower. ' +
    "It watches with the kernel's DAMON which physical memory is accessed, promotes hot memory to fast nodes, demotes cold memory to slow ones, " +
    'and holds fast nodes at a utilization.',
  '`tierd run` is the daemon; systemd runs it as `tierd.service`. The other commands ask the running daemon over its socket, as root or as a ' +
    'member of the group `tierd`, except `doctor`, `probe`, `stand-down`, `about` and `completion`, which need no daemon.',
];

const SIGNALS: readonly (readonly [string, string])[] = [
  ['SIGTERM, SIGINT', 'The daemon puts DAMON back as it was and ends.'],
  ['SIGHUP', 'The daemon reads its configuration again. A wrong one is refused whole; the journal says why.'],
];

const EXAMPLES: readonly (readonly [string, readonly string[]])[] = [
  ['What the daemon does, again every second:', ['tierd status --watch']],
  [
    'The ten largest regions of node 1 that are accessed all the time:',
    ['tierd snapshot --node 1 --min-rate 1 --sort largest --limit 10'],
  ],
  [
    'What a lower target would change in the kernel, then the change itself:',
    ['tierd policy set --dry-run fastUtilization=0.8', 'tierd policy set fastUtilization=0.8'],
  ],
];

/** The manual page tierd(8) in roff, from the declarations of the commands, the schema of the configuration and the exit codes. */
export function manPage(version: string): string {
  const program = programOf();
  return [
    `.TH TIERD 8 "" ${quoted(`tierd ${version}`)} ${quoted('System Administration')}\n`,
    // Nothing is hyphenated or stretched: names are to be copied and searched.
    '.nh\n.ad l\n',
    heading('Name'),
    'tierd \\- tiered\\-memory (CXL) management daemon\n',
    heading('Synopsis'),
    ...commandsBelow(program).map((command) => `.br\n${synopsis(command)}`),
    heading('Description'),
    ...DESCRIPTION.map(paragraph),
    heading('Commands'),
    ...commandsBelow(program).map(commandSection),
    heading('Configuration'),
    paragraph(
      'Keys of `/etc/tierd/tierd.yaml`. Those of the policy can also be changed at run time, by `tierd policy set`.',
    ),
    ...leaves(ConfigSchema).map(({ path, leaf }) => {
      const fallback = `Default: ${JSON.stringify(defaultOf(leaf))}.`;
      return definition(
        formatKeyPath(path),
        `${leaf.description ?? ''} Allowed: ${describeAllowed(leaf)}. ${fallback}`,
      );
    }),
    heading('Signals'),
    ...SIGNALS.map(([name, meaning]) => definition(name, meaning)),
    heading('Exit status'),
    ...EXIT_STATUSES.map(({ codes, meaning }) => definition(codes.join(', '), meaning)),
    heading('Files'),
    ...files().map(([path, meaning]) => definition(path, meaning)),
    heading('Examples'),
    ...EXAMPLES.flatMap(([what, lines]) => [paragraph(what), example(lines)]),
    heading('See also'),
    paragraph('`systemctl`(1), `journalctl`(1), `numactl`(8), `move_pages`(2)'),
  ].join('');
}

function commandSection(command: Command): string {
  const help = command.createHelp();
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help');
  return [
    subheading(usageOf(command)),
    paragraph(sentence(command.description() || command.summary())),
    ...help
      .visibleArguments(command)
      .map((argument) => definition(`<${argument.name()}>`, help.argumentDescription(argument))),
    ...options.map((option) => definition(help.optionTerm(option), sentence(help.optionDescription(option)))),
  ].join('');
}

function synopsis(command: Command): string {
  return `.B ${quoted(usageOf(command))}\n`;
}

/** The files there are by default. */
function files(): readonly (readonly [string, string])[] {
  const placed = leaves(ConfigSchema).flatMap(({ leaf }) => {
    const fallback = defaultOf(leaf);
    const isPath = typeof fallback === 'string' && fallback.startsWith('/');
    return isPath ? [[fallback, leaf.description ?? ''] as const] : [];
  });
  return [['/etc/tierd/tierd.yaml', 'Configuration.'], ...placed];
}
