import type { FileHandle } from 'node:fs/promises';
import { OperatorSettings } from '../api/policy/operator-settings.ts';
import { measureInChild } from '../numa/probe/measure-in-child.ts';
import { HostSysFs } from '../numa/sysfs.ts';
import { createTiering } from '../tiering/create-tiering.ts';
import { withWarningEvents } from '../tiering/events/warnings.ts';
import { claimState } from './claim-state.ts';
import type { RunOptions } from './commands/command.ts';
import { loadConfig } from './config.ts';
import type { Config } from './config-schema.ts';
import { runDaemon } from './daemon.ts';
import type { EndingWatch } from './ending.ts';
import { leave } from './leave.ts';
import { detectLogFormat } from './log-format.ts';
import { createLogger } from './logger.ts';
import { createNotifier } from './notify.ts';
import { measureCommand } from './own-command.ts';
import { probeFile } from './probe-file.ts';
import { Reload } from './reload.ts';
import { restoreSettings } from './restore-settings.ts';
import { settingsFile } from './settings-file.ts';
import { readToken } from './token-file.ts';
import { VERSION } from './version.ts';

/** `tierd run`: puts the parts together and runs them. Resolves with the exit code. */
export async function run(options: RunOptions, watch: EndingWatch): Promise<number> {
  const file = await loadConfig(options.config);
  const config = withOptions(file.config, options);
  const logger = await createLogger(config.logLevel, detectLogFormat(process.env.JOURNAL_STREAM, process.stdout.fd));
  logger.info({ version: VERSION, pid: process.pid }, 'tierd starts');
  let lock: FileHandle | undefined;
  try {
    const sysfs = new HostSysFs();
    const state = await claimState(config.stateDirectory, sysfs, logger);
    lock = state.lock;
    const saved = settingsFile(config.stateDirectory, logger);
    const commandLine = options.dryRun === undefined ? {} : { dryRun: options.dryRun };
    const { layers, policy, pausedSince, pauseReason, mustSave } = await restoreSettings(
      saved,
      file.stated,
      commandLine,
    );
    const probes = probeFile(config.stateDirectory, logger);
    const runtime = await createTiering({
      sysfs,
      policy,
      ...(pausedSince && { pausedSince }),
      engine: config.engine,
      ...(config.tiers === 'auto' ? {} : { tiers: config.tiers }),
      waitForDamon: config.waitForDamon,
      switchOffDamonStat: config.switchOffDamonStat,
      logger,
      loadReceipt: state.loadReceipt,
      saveReceipt: state.saveReceipt,
      probing: {
        measure: measureInChild(measureCommand(process)),
        load: () => probes.load(),
        save: (value) => probes.save(value),
      },
      ownMemory: config.ownMemory,
      featureMask: featureMask(process.env),
    });
    const telling = withWarningEvents(logger, runtime.events);
    const settings = new OperatorSettings({
      service: runtime,
      layers,
      save: (value) => saved.save(value),
      invalidate: () => saved.invalidate(),
      pauseReason,
      logger: telling,
    });
    if (pauseReason !== undefined) logger.error({ pauseReason }, settings.pauseReason);
    if (mustSave) await settings.save();
    const notifier = createNotifier(process.env, logger);
    const reload = new Reload({
      file: options.config,
      running: file.config,
      settings,
      // What the command line says goes before the file.
      setLogLevel: (level) => {
        logger.level = options.logLevel ?? level;
      },
      logger: telling,
      notifier,
    });
    const { tcpPort: port, tokenFile, readSocket } = config.api;
    const tcp = port === 'off' ? undefined : { port, token: await readToken(tokenFile) };
    return await runDaemon({
      runtime,
      settings,
      reload: () => reload.run(),
      logger,
      notifier,
      socket: config.api.socket,
      ...(readSocket !== 'off' && { readSocket }),
      ...(tcp && { tcp }),
      version: VERSION,
      watch,
      exit: (code) => void leave(code),
    });
  } catch (error) {
    // With its stack for whoever asks for this level; the readable line is the command's.
    logger.debug({ err: error }, 'tierd ends');
    throw error;
  } finally {
    await lock?.close();
  }
}

/** For tests: what older kernels lack can be hidden, as TIERD_FEATURE_MASK=migrateActions,filters. */
function featureMask({ TIERD_FEATURE_MASK: mask = '' }: NodeJS.ProcessEnv): readonly string[] {
  return mask.split(',').filter((name) => name !== '');
}

/** The command line goes before the file; what it says of the policy is a layer of that. */
export function withOptions(config: Config, options: RunOptions): Config {
  return {
    ...config,
    logLevel: options.logLevel ?? config.logLevel,
    api: { ...config.api, socket: options.socket ?? config.api.socket },
    stateDirectory: options.stateDirectory ?? config.stateDirectory,
  };
}
