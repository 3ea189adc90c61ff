import type { Command } from 'commander';
import { programOf } from '../../daemon/command-line.ts';
import { commandsBelow, usageOf } from '../commands.ts';
import { markdownTable } from '../markdown-table.ts';
import { code, page, sentence } from './page.ts';

/** docs/reference/cli.md. */
export function cliPage(): string {
  const commands = commandsBelow(programOf());
  return page(
    'Command line',
    'the declarations of the commands',
    `\`tierd run\` is the daemon. \`doctor\`, \`probe\`, \`stand-down\`, \`about\` and \`completion\` need no daemon. All
other commands ask the running daemon over its socket, as root or as a member of the group \`tierd\`; commands that only
read also work for members of \`tierd-read\`. Errors go to standard error and set the [exit code](exit-codes.md).`,
    ...commands.map(commandPart),
  );
}

function commandPart(command: Command): string {
  const help = command.createHelp();
  const terms = [
    ...help
      .visibleArguments(command)
      .map((argument) => [code(`<${argument.name()}>`), sentence(help.argumentDescription(argument))]),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .map((option) => [code(help.optionTerm(option)), sentence(help.optionDescription(option))]),
  ];
  const parts = [`## ${usageOf(command).replace(/ \[options\]| <.*/g, '')}`, code(usageOf(command))];
  parts.push(sentence(command.description() || command.summary()));
  if (terms.length > 0) parts.push(markdownTable(['Argument', 'Meaning'], terms));
  return parts.map((part) => part.trim()).join('\n\n');
}
