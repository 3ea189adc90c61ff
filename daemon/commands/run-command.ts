import { resolve } from 'node:path';
import type { Command as Program } from 'commander';
import { Option } from 'commander';
import { DEFAULT_CONFIG_FILE, parseConfig } from '../config.ts';
import type { LogLevel } from '../config-schema.ts';
import { LOG_LEVELS } from '../config-schema.ts';
import type { Choose } from './command.ts';

interface Given {
  readonly config?: string;
  readonly dryRun?: true;
  readonly logLevel?: LogLevel;
  readonly socket?: string;
  readonly stateDirectory?: string;
}

/** `tierd run`. */
export function addRunCommand(program: Program, choose: Choose): void {
  const defaults = parseConfig('', DEFAULT_CONFIG_FILE);
  program
    .command('run')
    .summary('run the daemon in the foreground')
    .description('Run the daemon in the foreground. Each option goes before the configuration file.')
    .option('--config <file>', `configuration file (default ${DEFAULT_CONFIG_FILE}, which need not exist)`)
    .option('--dry-run', 'watch and decide, log and report, but promote and demote nothing')
    .addOption(
      new Option('--log-level <level>', `least severity of what is logged (default ${defaults.logLevel})`).choices([
        ...LOG_LEVELS,
      ]),
    )
    .option('--socket <path>', `Unix socket of the REST API (default ${defaults.api.socket})`)
    .option('--state-directory <dir>', `where to remember what must be put back (default ${defaults.stateDirectory})`)
    .action(({ config, socket, stateDirectory, ...rest }: Given) =>
      choose({
        name: 'run',
        options: {
          ...rest,
          ...(config !== undefined && { config: resolve(config) }),
          ...(socket !== undefined && { socket: resolve(socket) }),
          ...(stateDirectory !== undefined && { stateDirectory: resolve(stateDirectory) }),
        },
      }),
    );
}
