import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { joinWithOr } from '../api/schema/allowed.ts';
import { nearest } from '../api/schema/nearest.ts';
import { parseMeasureArguments } from '../numa/probe/measure-protocol.ts';
import type { MeasureRequest } from '../numa/probe/measurement.ts';
import { DEFAULT_CONFIG_FILE, parseConfig } from './config.ts';
import type { LogLevel } from './config-schema.ts';
import { LOG_LEVELS } from './config-schema.ts';
import { UsageError } from './errors.ts';
import { MEASURE_NODE } from './own-command.ts';

/** What `tierd run` was told; what it was not told comes from the configuration. */
export interface RunOptions {
  readonly config?: string;
  readonly dryRun?: boolean;
  readonly logLevel?: LogLevel;
  readonly socket?: string;
  readonly stateDirectory?: string;
}

/** What `tierd probe` was told. */
export interface ProbeOptions {
  readonly json?: boolean;
}

export type Command =
  | { readonly name: 'run'; readonly options: RunOptions }
  | { readonly name: 'probe'; readonly options: ProbeOptions }
  /** What `probe` and the daemon start to measure one node: in no help text. */
  | { readonly name: typeof MEASURE_NODE; readonly request: MeasureRequest }
  | { readonly name: 'about' }
  | { readonly name: 'help' }
  | { readonly name: 'version' };

const COMMANDS = ['run', 'probe', 'about'];

const OPTIONS = {
  config: { type: 'string' },
  'dry-run': { type: 'boolean' },
  'log-level': { type: 'string' },
  socket: { type: 'string' },
  'state-directory': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const;

/** What the arguments ask for. Throws UsageError. */
export function parseCommandLine(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  if (values.help) return { name: 'help' };
  if (values.version) return { name: 'version' };
  const [name, extra, ...further] = positionals;
  if (name === MEASURE_NODE) return { name, request: parseMeasureArguments([extra ?? '', ...further]) };
  if (name === undefined) throw new UsageError(`name a command: ${joinWithOr(COMMANDS)}`);
  if (!COMMANDS.includes(name)) throw new UsageError(`there is no command "${name}"${hint(name, COMMANDS)}`);
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many`);
  for (const option of Object.keys(values)) {
    const owner = option === 'json' ? 'probe' : 'run';
    if (owner !== name) throw new UsageError(`--${option} is an option of ${owner}`);
  }
  if (name === 'run') return { name, options: runOptions(values) };
  if (name === 'probe') return { name, options: values.json === undefined ? {} : { json: values.json } };
  return { name: 'about' };
}

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const [message] = error.message.split(/\. |\n/);
    const option = /^Unknown option '--([^']*)'/.exec(error.message)?.[1];
    throw new UsageError(`${message}${option === undefined ? '' : hint(option, Object.keys(OPTIONS), '--')}`);
  }
}

function hint(word: string, candidates: readonly string[], prefix = ''): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? '' : `: did you mean ${prefix}${meant}?`;
}

function runOptions(values: Values): RunOptions {
  const { config, socket, 'dry-run': dryRun, 'log-level': level, 'state-directory': stateDirectory } = values;
  return {
    ...(config === undefined ? {} : { config: resolve(config) }),
    ...(dryRun === undefined ? {} : { dryRun }),
    ...(level === undefined ? {} : { logLevel: logLevelOf(level) }),
    ...(socket === undefined ? {} : { socket: resolve(socket) }),
    ...(stateDirectory === undefined ? {} : { stateDirectory: resolve(stateDirectory) }),
  };
}

function logLevelOf(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined)
    throw new UsageError(`--log-level ${text} is not allowed: must be ${joinWithOr(LOG_LEVELS)}`);
  return level;
}

/** The text of --help. */
export function usage(): string {
  const defaults = parseConfig('', DEFAULT_CONFIG_FILE);
  return `Usage: tierd run [options]    run the daemon in the foreground
       tierd probe [--json]   measure latency and bandwidth of every memory node, some 2 s each
       tierd about            print what a bug report needs to know of this machine, as JSON

Options of run, each of which overrides the configuration file:
  --config FILE           configuration file (default ${DEFAULT_CONFIG_FILE}, which need not exist)
  --dry-run               watch and decide, log and report, but promote and demote nothing
  --log-level LEVEL       ${joinWithOr(LOG_LEVELS)} (default ${defaults.logLevel})
  --socket PATH           Unix socket of the REST API (default ${defaults.api.socket})
  --state-directory DIR   where to remember what must be put back in order (default ${defaults.stateDirectory})

  -h, --help              this text
  -V, --version           the version

While it runs:  curl --unix-socket ${defaults.api.socket} 'http://localhost/v1/status?format=text'
`;
}
