import type { Command } from 'commander';

/** The commands that do something, such as `policy set`; not those that only hold others, and no hidden ones. */
export function commandsBelow(command: Command): readonly Command[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.flatMap((below) => (below.commands.length === 0 ? [below] : commandsBelow(below)));
}

/** Such as `tierd policy set [options] <key=value...>`. */
export function usageOf(command: Command): string {
  return command.createHelp().commandUsage(command);
}
