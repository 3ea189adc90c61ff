import type { Command as Program } from 'commander';
import { POLICY_KEYS } from './client/policy-arguments.ts';
import { programOf } from './command-line.ts';
import type { Shell } from './commands/command.ts';

interface Completable {
  /** Such as `policy set`; empty: the program itself. */
  readonly command: string;
  readonly words: readonly { readonly word: string; readonly summary: string }[];
}

/** A script that completes tierd's commands, options and policy keys in a shell. */
export function completion(shell: Shell): string {
  const all = completables(programOf());
  switch (shell) {
    case 'bash':
      return bash(all);
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(all)}`;
    case 'fish':
      return fish(all);
  }
}

function completables(program: Program, path = ''): readonly Completable[] {
  const visible = program.createHelp().visibleCommands(program);
  const words = [
    ...visible.map((command) => ({ word: command.name(), summary: command.summary() })),
    ...program
      .createHelp()
      .visibleOptions(program)
      .flatMap(({ long, description }) => (typeof long === 'string' ? [{ word: long, summary: description }] : [])),
    ...program.registeredArguments.flatMap(({ argChoices = [] }) => argChoices.map((word) => ({ word, summary: '' }))),
    ...(path === 'policy set' ? POLICY_KEYS.map((key) => ({ word: `${key}=`, summary: '' })) : []),
  ];
  const below = visible.flatMap((command) => completables(command, `${path} ${command.name()}`.trim()));
  return [{ command: path, words }, ...below];
}

function bash(all: readonly Completable[]): string {
  const cases = all
    .filter(({ command }) => command !== '')
    .map(({ command, words }) => `    "${command}") words="${words.map(({ word }) => word).join(' ')}" ;;`);
  const top = all.find(({ command }) => command === '')?.words.map(({ word }) => word) ?? [];
  return `_tierd() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) [[ $path == *=* || $word == *=* ]] || path="\${path:+$path }$word" ;; esac
  done
  case $path in
${cases.join('\n')}
    "") words="${top.join(' ')}" ;;
    "policy set "*) words="${POLICY_KEYS.map((key) => `${key}=`).join(' ')}" ;;
    *) words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _tierd tierd
`;
}

function fish(all: readonly Completable[]): string {
  const lines = all.flatMap(({ command, words }) => {
    const [first = '', second] = command.split(' ');
    const seen = `__fish_seen_subcommand_from ${first}`;
    const inside = second === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${second}`;
    const condition = command === '' ? '__fish_use_subcommand' : inside;
    return words.map(({ word, summary }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a '${word}'`;
      return `complete -c tierd -f -n '${condition}' ${what} -d '${summary.replaceAll("'", '')}'`;
    });
  });
  return `${lines.join('\n')}\n`;
}
