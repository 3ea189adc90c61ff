import { policyKeysOf } from '../api/policy/layers.ts';
import type { OperatorSettings } from '../api/policy/operator-settings.ts';
import type { Logger } from '../tiering/logger.ts';
import { PolicySchema } from '../tiering/policy.ts';
import { loadConfig } from './config.ts';
import type { Config, LogLevel } from './config-schema.ts';
import { failureLines } from './failure.ts';
import type { Notifier } from './notify.ts';

export interface ReloadOptions {
  /** The file that the command line names, if any. */
  readonly file: string | undefined;
  /** What the daemon started with. */
  readonly running: Config;
  readonly settings: Pick<OperatorSettings, 'setFile'>;
  readonly setLogLevel: (level: LogLevel) => void;
  readonly logger: Logger;
  readonly notifier: Notifier;
}

/** Reads the configuration file again, when told to, and applies what can change in a running daemon: the policy and the log level. */
export class Reload {
  readonly #options: ReloadOptions;

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  /** Never rejects: a file that is wrong changes nothing, and the log says what is wrong with it. */
  async run(): Promise<void> {
    const { file, running, settings, setLogLevel, logger, notifier } = this.#options;
    await notifier.reloading();
    let outcome: string;
    try {
      const next = await loadConfig(file);
      await settings.setFile(policyKeysOf(next.stated));
      setLogLevel(next.config.logLevel);
      const ineffective = needRestart(running, next.config);
      outcome = `configuration ${next.path} read again`;
      logger.info({}, outcome);
      if (ineffective.length > 0)
        logger.warn({}, `${ineffective.join(', ')}: changed in the file, counts after a restart`);
    } catch (error) {
      outcome = 'the configuration file is wrong: the old one holds';
      for (const line of failureLines(error)) logger.error({}, `not reloaded: ${line}`);
    }
    await notifier.ready(outcome);
  }
}

/** Keys whose change a running daemon cannot take. */
export function needRestart(before: Config, after: Config): readonly string[] {
  const live = new Set([...Object.keys(PolicySchema.properties), 'logLevel']);
  const values = new Map<string, unknown>(Object.entries(before));
  return Object.entries(after)
    .filter(([key, value]) => !live.has(key) && JSON.stringify(values.get(key)) !== JSON.stringify(value))
    .map(([key]) => key);
}
