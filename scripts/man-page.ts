import type { Command } from 'commander';
import { programOf } from '../daemon/command-line.ts';

/** The manual page tierd(8) as roff, made of the command line's own declarations (man-pages(7)). */
export function manPage(version: string): string {
  const program = programOf();
  const help = program.createHelp();
  const commands = help.visibleCommands(program).flatMap((command) => sections(command, 'tierd'));
  return `${[
    `.TH TIERD 8 "" "tierd ${version}" "System Administration"`,
    '.SH NAME',
    'tierd \\- tiered-memory (CXL) management daemon',
    '.SH SYNOPSIS',
    '.B tierd',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    text(
      'tierd watches physical memory with Linux DAMON, promotes hot and demotes cold memory between DRAM and CXL memory, and holds the fast tier at the utilization that the operator asked for. It runs as the systemd service tierd.service; the other commands ask the running daemon over its Unix socket, as root or as a member of the group tierd.',
    ),
    '.SH COMMANDS',
    ...commands,
    '.SH FILES',
    ...entry('/etc/tierd/tierd.yaml', 'The configuration; every key is optional and explained there.'),
    ...entry(
      '/run/tierd/tierd.sock',
      'The REST API: curl --unix-socket /run/tierd/tierd.sock http://localhost/v1/status',
    ),
    ...entry(
      '/var/lib/tierd',
      'What must outlive a restart: what was set over REST, figures of memory nodes, how DAMON was found.',
    ),
    '.SH EXIT STATUS',
    text(
      '0 when all went as asked; 2 and 3 when tierd doctor found a warning or an error; other codes are listed with their reasons in the README.',
    ),
    '.SH SEE ALSO',
    '.BR systemctl (1),',
    '.BR daxctl (1),',
    '.BR cxl (1)',
  ].join('\n')}\n`;
}

function sections(command: Command, parent: string): string[] {
  const help = command.createHelp();
  const name = `${parent} ${command.name()}`;
  const below = help.visibleCommands(command);
  if (below.length > 0) return below.flatMap((inner) => sections(inner, name));
  const terms = command.registeredArguments.map((argument) => ` <${argument.name()}>${argument.variadic ? '...' : ''}`);
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help');
  return [
    `.SS ${text(`${name}${terms.join('')}`)}`,
    text(command.description() === '' ? `${command.summary()}.` : command.description()),
    ...options.flatMap(({ flags, description }) => entry(flags, description)),
  ];
}

function entry(term: string, description: string): string[] {
  return ['.TP', `.B ${text(term)}`, text(description)];
}

/** Hyphens of options stay hyphens, and no line begins like a macro. */
function text(words: string): string {
  const escaped = words.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}
