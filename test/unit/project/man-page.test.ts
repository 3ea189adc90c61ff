import { spawnSync } from 'node:child_process';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { programOf } from '../../../daemon/command-line.ts';
import { ConfigSchema } from '../../../daemon/config-schema.ts';
import { EXIT_STATUSES } from '../../../daemon/exit-codes.ts';
import { MEASURE_NODE } from '../../../daemon/own-command.ts';
import { configTable } from '../../../scripts/config-table.ts';
import { manPage } from '../../../scripts/man-page.ts';
import { definition, example, paragraph } from '../../../scripts/roff.ts';

const page = manPage('1.2.3');
const hasGroff = spawnSync('groff', ['--version']).status === 0;

function groff(input: string, ...options: string[]) {
  // -c, -b, -o and -u: plain text, without bold and underlines.
  const { status, stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-P-cbou', ...options], {
    input,
    encoding: 'utf8',
  });
  return { status, stderr, text: stdout };
}

function rendered(body: string): string {
  return groff(`.TH TEST 8\n${body}`).text;
}

function commandsOf(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(commandsOf)];
}

describe.skipIf(!hasGroff)('the manual page', () => {
  const { text } = groff(page, '-rLL=100n');

  test('has no warnings', () => {
    expect(groff(page, '-ww', '-z')).toEqual({ status: 0, stderr: '', text: '' });
  });

  test('has every command and option, but no hidden one', () => {
    const options = commandsOf(programOf()).flatMap((command) =>
      command.options.flatMap(({ long }) => (typeof long === 'string' && long !== '--version' ? [long] : [])),
    );
    expect(options.length).toBeGreaterThan(20);
    for (const option of options) expect(text).toMatch(new RegExp(`^ +${option}( |$)`, 'm'));
    expect(text).toMatch(/^ +tierd policy set \[options\] <key=value\.\.\.>$/m);
    expect(text).not.toContain(MEASURE_NODE);
    expect(text).not.toMatch(/^ +help /m);
  });

  test('has every key of the configuration and every exit code', () => {
    const keys = [...configTable(ConfigSchema).matchAll(/^\| `([\w.]+)` /gm)].map(([, key = '']) => key);
    expect(keys.length).toBeGreaterThan(20);
    for (const key of keys) expect(text).toMatch(new RegExp(`^ +${key}( |$)`, 'm'));
    for (const { codes } of EXIT_STATUSES) expect(text).toMatch(new RegExp(`^ +${codes.join(', ')}( |$)`, 'm'));
  });

  test('shows what is to be typed as it is typed', () => {
    const typed = `curl --data '{"a": "\\n"}' ~/x^2 \`date\``;
    expect(rendered(example([typed, '.TH', "'br"]))).toContain(`${typed}\n       .TH\n       'br\n`);
  });

  test('takes no text for a request', () => {
    const written = rendered(paragraph('.so /etc/passwd') + definition('--a <b>', "'tis `c -d`"));
    expect(written).toContain('.so /etc/passwd');
    expect(written).toMatch(/--a b\s+'tis c -d/);
  });
});

test('the name of the page is what apropos reads', () => {
  expect(page).toContain('.SH "NAME"\ntierd \\- tiered\\-memory (CXL) management daemon\n');
});
